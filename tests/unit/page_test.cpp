#include "status/page.hpp"

#include <doctest/doctest.h>

#include <string>

#include "status/page_assets.hpp"
#include "support/status_snapshots.hpp"

namespace {

using namespace m2b;

TEST_SUITE("page") {
  std::string page_of(StatusSnapshot snapshot) {
    StatusView view;
    view.diagnosis = diagnose(snapshot, {});
    view.snapshot = std::move(snapshot);
    return render_page(view);
  }
  bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
  }

  TEST_CASE("text is escaped, also in attributes") {
    CHECK(escape_html("a<b>&\"c'") == "a&lt;b&gt;&amp;&quot;c&#39;");
    CHECK(escape_html(std::string("a\0\x1b\nb", 5)) == "a  \nb");
    CHECK(escape_html("größe") == "größe");
  }

  TEST_CASE("sentence, state and values are in the page itself") {
    const std::string page = page_of(test::well());
    CHECK(contains(page, "<html lang=\"en\" data-state=\"well\">"));
    CHECK(contains(page, "All is well: every picture that came is in the bucket."));
    CHECK(contains(page, "id=\"todo\" aria-labelledby=\"todo-title\" hidden>"));
    CHECK(contains(page, "<th scope=\"row\">Stored</th><td>100</td>"));
    CHECK(contains(page, "<noscript>"));
    CHECK_FALSE(contains(page, "{{"));
  }

  TEST_CASE("warnings are in the page, with what to do") {
    StatusSnapshot snapshot = test::well();
    test::let_store_fail(snapshot, refusal(Scope::path, 0, "could_not_connect"));
    const std::string page = page_of(snapshot);
    CHECK(contains(page, "data-state=\"trouble\""));
    CHECK(contains(page, "<h3>Store unreachable for 12 min</h3>"));
    CHECK(contains(page, "MINIO_URL"));
    CHECK(contains(page, "id=\"todo\" aria-labelledby=\"todo-title\">"));
  }

  TEST_CASE("refusals are in the page, as warnings and as values") {
    StatusSnapshot snapshot = test::well();
    snapshot.store.uploads_refused[Scope::ambiguous] = 62;
    snapshot.store.refusals_by_code["AccessDenied"] = 62;
    test::let_some_be_refused(snapshot, {.of = Refusal::Of::prefix,
                                         .prefix = "cam2/",
                                         .messages = 31,
                                         .cause = refusal(Scope::ambiguous, 403, "AccessDenied")});
    const std::string page = page_of(snapshot);
    CHECK(contains(page, "data-state=\"attention\""));
    CHECK(contains(page, "<h3>31 pictures under cam2/ are refused for 12 min: AccessDenied</h3>"));
    CHECK(contains(page, "<th scope=\"row\">Uploads refused, scope ambiguous</th><td>62</td>"));
    CHECK(contains(page, "<th scope=\"row\">Refused with AccessDenied</th><td>62</td>"));
    CHECK(contains(page, ">Waiting, refused while others are stored</th><td>31</td>"));
  }

  TEST_CASE("nothing that comes from outside becomes a tag or a placeholder") {
    const std::string evil = "\"><script>alert(1)</script>{{rows}}'";
    StatusSnapshot snapshot = test::well();
    test::let_store_fail(snapshot, refusal(Scope::credentials, 403, "http_403", evil));
    test::let_broker_fail(snapshot, {.meaning = evil});
    snapshot.names.bucket = snapshot.names.broker = snapshot.names.spool = evil;
    snapshot.names.topics = {evil};
    snapshot.store.refusals_by_code[evil] = 1;
    test::let_some_be_refused(snapshot, {.of = Refusal::Of::prefix,
                                         .prefix = evil,
                                         .messages = 1,
                                         .cause = refusal(Scope::ambiguous, 403, evil, evil)});
    test::add_letter(snapshot, {{.id = SpoolId{7}, .readable = true, .topic = evil},
                                {DeadLetterReason::bad_key, evil},
                                WallTime{}});
    const std::string page = page_of(snapshot);
    CHECK_FALSE(contains(page, "<script>alert"));
    CHECK_FALSE(contains(page, "\"><script"));
    CHECK(contains(page, "&lt;script&gt;alert(1)&lt;/script&gt;{{rows}}"));
  }

  TEST_CASE("the files are there, whole, and need no other") {
    CHECK(page_assets::page_html().starts_with("<!doctype html>"));
    CHECK(page_assets::page_html().ends_with("</html>\n"));
    CHECK(page_assets::icon_svg().starts_with("<svg"));
    for (const std::string_view file :
         {page_assets::page_html(), page_assets::page_css(), page_assets::page_js()}) {
      CHECK(file.size() > 1000);
      const std::string text(file);
      CHECK_FALSE(contains(text, "://"));      // no address but this daemon's...
      CHECK_FALSE(contains(text, " style="));  // ...and nothing that the content policy forbids
      CHECK_FALSE(contains(text, "innerHTML"));
      CHECK_FALSE(contains(text, " onclick="));
    }
  }
}

}  // namespace
