#include "m2b/encryption/key_ring.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "encryption/derive.hpp"

namespace m2b {
namespace {

constexpr std::string_view kPlain = "plain";
constexpr std::string_view kLost = "lost ";
constexpr std::size_t kBase64Chars = 44;

KeyId id_of(std::string_view key) {
  const DerivedKey derived = derive(key, "mqtt-to-blob key id", "");
  std::uint32_t id = 0;
  for (std::size_t i = 0; i < sizeof id; ++i) {
    id = id << 8U | derived.bytes()[i];
  }
  return KeyId{id};
}

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r";
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  return line.substr(0, line.find_last_not_of(kBlanks) + 1);
}

/// Nothing when it is not exactly one key.
std::shared_ptr<const EncryptionKey> key_of(std::string_view base64) {
  // The last of 44 characters is padding, and the one before it has two bits that are not used.
  if (base64.size() != kBase64Chars || !base64.ends_with('=') ||
      base64.substr(0, kBase64Chars - 1).find('=') != std::string_view::npos ||
      std::string_view("AEIMQUYcgkosw048").find(base64[kBase64Chars - 2]) ==
          std::string_view::npos) {
    return nullptr;
  }
  std::array<unsigned char, EncryptionKey::kBytes + 1> decoded{};
  const int bytes = EVP_DecodeBlock(
      decoded.data(), reinterpret_cast<const unsigned char*>(base64.data()), kBase64Chars);
  EncryptionKey::Bytes key{};
  std::copy_n(decoded.begin(), key.size(), key.begin());
  auto made = bytes == static_cast<int>(decoded.size()) ? std::make_shared<const EncryptionKey>(key)
                                                        : nullptr;
  OPENSSL_cleanse(decoded.data(), decoded.size());
  OPENSSL_cleanse(key.data(), key.size());
  return made;
}

/// `lost 1a2b3c4d`
std::optional<KeyId> lost_key_of(std::string_view line) {
  return line.starts_with(kLost) ? parse_key_id(line.substr(kLost.size())) : std::nullopt;
}

}  // namespace

std::string to_string(KeyId id) { return fmt::format("{:08x}", static_cast<std::uint32_t>(id)); }

std::optional<KeyId> parse_key_id(std::string_view digits) {
  constexpr std::size_t kDigits = 8;
  std::uint32_t id = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, id, 16);
  return digits.size() == kDigits && error == std::errc() && rest == end ? std::optional(KeyId{id})
                                                                         : std::nullopt;
}

std::string missing_key_text(KeyId id) {
  return fmt::format("encrypted with key {}, which is not among those of SPOOL_KEY", to_string(id));
}

EncryptionKey::EncryptionKey(const Bytes& bytes)
    : bytes_(bytes), id_(id_of({bytes.data(), bytes.size()})) {}

EncryptionKey::~EncryptionKey() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

std::variant<KeyRing, std::string> KeyRing::parse(std::string_view text) {
  KeyRing ring;
  ring.is_given_ = true;
  ring.encrypts_ = true;
  bool is_first = true;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = trimmed(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
    if (line.empty() || line.starts_with('#')) {
      continue;
    }
    if (is_first && line == kPlain) {
      ring.encrypts_ = false;
    } else if (const auto lost = lost_key_of(line); lost && !is_first) {
      ring.lost_.push_back(*lost);
    } else if (auto key = key_of(line)) {
      if (ring.find(key->id()) != nullptr) {
        return fmt::format("must be different keys: line {} has one a second time", number);
      }
      ring.keys_.push_back(std::move(key));
    } else {
      return fmt::format(
          "must be keys of 32 bytes in base64, one a line, as `openssl rand -base64 32` makes "
          "them: line {} is none",
          number);
    }
    is_first = false;
  }
  if (is_first) {
    return "must be keys of 32 bytes in base64, one a line: there is none";
  }
  return ring;
}

const EncryptionKey* KeyRing::encrypting() const noexcept {
  return encrypts_ ? keys_.front().get() : nullptr;
}

bool KeyRing::is_lost(KeyId id) const noexcept {
  return find(id) == nullptr && std::ranges::find(lost_, id) != lost_.end();
}

const EncryptionKey* KeyRing::find(KeyId id) const noexcept {
  const auto found = std::ranges::find(keys_, id, [](const auto& key) { return key->id(); });
  return found != keys_.end() ? found->get() : nullptr;
}

}  // namespace m2b
