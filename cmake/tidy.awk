# awk -f tidy.awk JOINED LOG: puts the places in a log about a joined file (tidy.cmake) where they belong.
NR == FNR {
  if ($1 == "#line") { first[++files] = FNR; name[files] = substr($3, 2, length($3) - 2) }
  joined = FILENAME
  next
}
index($0, joined ":") == 1 {
  rest = substr($0, length(joined) + 2)
  line = rest + 0
  for (file = files; file > 1 && first[file] > line; file--) {}
  sub(/^[0-9]+/, line - first[file], rest)
  $0 = name[file] ":" rest
}
{ print }
