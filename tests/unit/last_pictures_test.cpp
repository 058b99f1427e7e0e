#include "m2b/status/last_pictures.hpp"

#include <doctest/doctest.h>

#include <string>
#include <variant>

namespace {

using namespace m2b;
using namespace std::chrono_literals;

TEST_SUITE("last_pictures") {
  Object object(const std::string& name, std::size_t bytes = 100,
                std::string_view type = "image/jpeg") {
    auto key = ObjectKey::from_image_id(name);
    return {std::get<ObjectKey>(std::move(key)),
            std::string(bytes, 'p'),
            type,
            {{"image_id", name}, {"mqtt_topic", "ia/a"}}};
  }

  TEST_CASE("the last few are kept, the newest first") {
    LastPictures pictures(0ms);
    for (int i = 0; i < 20; ++i) {
      pictures.offer(object("p" + std::to_string(i)));
    }
    const auto list = pictures.list();
    REQUIRE(list.size() == LastPictures::kMaxCount);
    CHECK(list.front().key == "p19.jpg");
    CHECK(list.front().topic == "ia/a");
    CHECK(list.front().bytes == 100);
    const auto picture = pictures.read(list.front().number);
    REQUIRE(picture);
    CHECK(*picture->bytes == std::string(100, 'p'));
    CHECK(picture->content_type == "image/jpeg");
    CHECK_FALSE(pictures.read(1));
    CHECK_FALSE(pictures.read(999));
  }

  TEST_CASE("one a pause, so that a flood costs next to nothing") {
    LastPictures pictures(1h);
    for (int i = 0; i < 1000; ++i) {
      pictures.offer(object("p" + std::to_string(i)));
    }
    CHECK(pictures.list().size() == 1);
    CHECK(pictures.list().front().key == "p0.jpg");
  }

  TEST_CASE("together they take limited memory, and a large one none") {
    LastPictures pictures(0ms);
    pictures.offer(object("large", LastPictures::kMaxPictureBytes + 1));
    CHECK(pictures.list().empty());
    for (int i = 0; i < 10; ++i) {
      pictures.offer(object("p" + std::to_string(i), LastPictures::kMaxPictureBytes));
    }
    CHECK(pictures.list().size() == LastPictures::kMaxBytes / LastPictures::kMaxPictureBytes);
    CHECK(pictures.list().front().key == "p9.jpg");
  }

  TEST_CASE("only what browsers show as pictures, and nothing that may hold scripts") {
    LastPictures pictures(0ms);
    for (const char* const type :
         {"application/octet-stream", "image/svg+xml", "text/html", "image/tiff"}) {
      pictures.offer(object("p", 10, type));
    }
    CHECK(pictures.list().empty());
    pictures.offer(object("p", 10, "image/png"));
    CHECK(pictures.list().size() == 1);
  }
}

}  // namespace
