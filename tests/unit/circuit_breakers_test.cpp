#include "pipeline/circuit_breakers.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace {

TEST_SUITE("circuit_breakers") {
  using namespace m2b;
  using namespace std::chrono_literals;
  using Breakers = CircuitBreakers;
  using Groups = std::vector<Breakers::Group>;

  constexpr std::size_t kBytes = 100'000;

  struct Fixture {
    Breakers breakers{{.base = 100ms, .cap = 800ms}, 1};
    Breakers::Time now{1h};
    std::uint64_t last_id = 0;
    const PutResult denied = refusal(Scope::ambiguous, 403, "AccessDenied");

    Delivery delivery() {
      return {.id = SpoolId{++last_id}, .begun_mark = breakers.stored_count()};
    }
    Evidence refuse(const Delivery& delivery, const std::string& key, std::size_t bytes = kBytes) {
      breakers.refused(Breakers::all_groups_of(key, bytes), bytes, delivery, denied, now);
      return breakers.evidence(breakers.groups_of(key, bytes), delivery, now);
    }
    Evidence refuse_another(const std::string& key) { return refuse(delivery(), key); }
  };

  TEST_CASE(
      "an object belongs to everything, to a class of sizes, and to the prefixes of its key") {
    CHECK(Breakers::all_groups_of("x.jpg", 0) == Groups{"*", "#16"});
    CHECK(Breakers::all_groups_of("x.jpg", 65'535) == Groups{"*", "#16"});
    CHECK(Breakers::all_groups_of("x.jpg", 65'536) == Groups{"*", "#17"});
    CHECK(Breakers::all_groups_of("a/b/x.jpg", 5 << 20) == Groups{"*", "#23", "/a/", "/a/b/"});
    CHECK(Breakers::all_groups_of("1/2/3/4/5/6/x", 0) ==
          Groups{"*", "#16", "/1/", "/1/2/", "/1/2/3/", "/1/2/3/4/", "/1/2/3/4/5/6/"});
    CHECK(Breakers::size_bits_of("#23") == 23);
    CHECK(Breakers::size_bits_of("/a/") == 0);
    CHECK(Breakers::size_bits_of("*") == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "different refusals in a row are counted, until one is stored") {
    CHECK_FALSE(breakers.is_in_doubt());
    const Delivery first = delivery();
    CHECK(refuse(first, "a/1").groups[2].refused_in_row == 1);
    Delivery again = first;
    again.history.refusals = 1;
    CHECK(refuse(again, "a/1").groups[2].refused_in_row == 1);
    const Evidence evidence = refuse_another("a/2");
    CHECK(evidence.groups.size() == 3);
    for (const Evidence::Group& group : evidence.groups) {
      CHECK(group.refused_in_row == 2);
    }
    CHECK(breakers.is_in_doubt());
    CHECK(breakers.stored("b/1", kBytes, now).empty());
    CHECK_FALSE(breakers.is_in_doubt());
    const Evidence later = refuse_another("a/3");
    CHECK(later.groups[0].refused_in_row == 1);
    CHECK(later.groups[0].stored_lately);
    CHECK(later.groups[1].refused_in_row == 1);
    CHECK(later.groups[2].refused_in_row == 3);
    CHECK_FALSE(later.groups[2].stored_lately);
  }

  TEST_CASE_FIXTURE(Fixture, "what was never sent is nobody's refusal") {
    PutResult unsent = refusal(Scope::path, 0, "could_not_connect");
    unsent.is_unsent = true;
    breakers.refused(Breakers::all_groups_of("a/1", kBytes), kBytes, delivery(), unsent, now);
    CHECK_FALSE(breakers.is_in_doubt());
  }

  TEST_CASE_FIXTURE(Fixture, "an open group explains what is wider, not what is narrower") {
    breakers.open("/a/", denied, 0s, now);
    const Evidence evidence = refuse_another("a/b/1");
    CHECK(evidence.groups[0].refused_in_row == 0);
    CHECK(evidence.groups[1].refused_in_row == 0);
    CHECK(evidence.groups[2].is_open);
    CHECK(evidence.groups[3].refused_in_row == 1);
    CHECK_FALSE(breakers.is_in_doubt());
  }

  TEST_CASE_FIXTURE(Fixture, "what is refused for its size tells nothing of its prefixes") {
    static_cast<void>(refuse_another("b/1"));
    breakers.open("#17", denied, 0s, now);
    const Evidence evidence = refuse_another("a/1");
    CHECK(evidence.groups[1].is_open);
    CHECK(evidence.groups[2].refused_in_row == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "of a size class, those smaller than the smallest refused are free") {
    static_cast<void>(refuse(delivery(), "a/1", 90'000));
    static_cast<void>(refuse(delivery(), "a/2", 100'000));
    breakers.open("#17", denied, 0s, now);
    CHECK(breakers.groups_of("b/1", 90'000) == Groups{"*", "#17", "/b/"});
    CHECK(breakers.groups_of("b/1", 89'999) == Groups{"*", "/b/"});
    CHECK(breakers.stored("b/1", 89'999, now).empty());  // which tells nothing of larger ones
    CHECK(breakers.is_open("#17"));
    static_cast<void>(refuse(delivery(), "c/1", 80'000));  // the limit is lower than it seemed
    CHECK(breakers.groups_of("b/1", 89'999) == Groups{"*", "#17", "/b/"});
    CHECK(breakers.stored("b/1", 80'000, now) == Groups{"#17"});
    CHECK(breakers.groups_of("b/1", 70'000) == Groups{"*", "#17", "/b/"});
  }

  TEST_CASE_FIXTURE(Fixture,
                    "who has less in common with the refused than all before is probed soon") {
    breakers.open("/a/", denied, 60s, now);
    CHECK_FALSE(breakers.tells_more("/a/", 1));  // nothing is known of the refused yet
    breakers.note_rank("/a/", 2);
    CHECK_FALSE(breakers.hurry_probe("/a/", 2));
    CHECK(breakers.probe_at("/a/") == now + 60s);
    CHECK(breakers.tells_more("/a/", 1));
    CHECK(breakers.hurry_probe("/a/", 1));
    CHECK(*breakers.probe_at("/a/") <= now + 100ms);
    CHECK_FALSE(breakers.hurry_probe("/a/", 1));  // once
    CHECK_FALSE(breakers.tells_more("/b/", 0));
  }

  TEST_CASE_FIXTURE(Fixture, "it tells what else was stored, and whether it is of its kind") {
    Delivery delivery = this->delivery();
    Evidence evidence = refuse(delivery, "a/1");
    CHECK_FALSE(evidence.others_stored_meanwhile);
    CHECK_FALSE(evidence.others_stored_since);
    CHECK_FALSE(evidence.peers_stored_since);
    delivery.history = {.refusals = 1, .stored_mark = breakers.stored_count()};

    static_cast<void>(breakers.stored("b/1", kBytes, now));
    evidence = refuse(delivery, "a/1");
    CHECK(evidence.others_stored_meanwhile);
    CHECK(evidence.others_stored_since);
    CHECK_FALSE(evidence.peers_stored_since);
    static_cast<void>(breakers.stored("a/2", 10, now));
    static_cast<void>(breakers.stored("b/1", kBytes, now));
    evidence = refuse(delivery, "a/1");
    CHECK(evidence.peers_stored_since);  // one of its prefix, and one of its size

    delivery.begun_mark = delivery.history.stored_mark = breakers.stored_count();
    evidence = refuse(delivery, "a/1");
    CHECK_FALSE(evidence.others_stored_meanwhile);
    CHECK_FALSE(evidence.others_stored_since);
    CHECK_FALSE(evidence.peers_stored_since);
  }

  TEST_CASE_FIXTURE(Fixture,
                    "a stored one closes the breakers of its groups, and the others may be "
                    "probed at once") {
    static_cast<void>(refuse_another("a/1"));
    static_cast<void>(refuse_another("b/1"));
    for (const char* group : {"*", "/a/", "/b/"}) {
      CHECK(breakers.open(group, denied, 60s, now));
      CHECK_FALSE(breakers.open(group, denied, 0s, now));
      CHECK(breakers.is_open(group));
      CHECK_FALSE(breakers.may_probe(group, now + 59s));
    }
    CHECK(breakers.all_open());
    CHECK(breakers.count_open(Breakers::all_groups_of("a/2", kBytes)) == 2);
    CHECK(breakers.narrowest_open(Breakers::all_groups_of("a/2", kBytes)) == "/a/");
    CHECK_FALSE(breakers.narrowest_open(Breakers::all_groups_of("c/2", kBytes)));
    CHECK(breakers.stored("a/2", kBytes, now) == Groups{"*", "/a/"});
    CHECK_FALSE(breakers.all_open());
    CHECK(breakers.has_open_groups());
    CHECK(breakers.may_probe("/b/", now));
    CHECK_FALSE(breakers.probe_at("/a/"));
    CHECK(breakers.stored("b/2", kBytes, now) == Groups{"/b/"});
    CHECK_FALSE(breakers.has_open_groups());
  }

  TEST_CASE_FIXTURE(Fixture, "one probe at a time, after growing pauses") {
    CHECK_FALSE(breakers.probe_at("*"));
    breakers.open("*", denied, 0s, now);
    std::chrono::nanoseconds longest{0};
    for (int round = 0; round < 50; ++round) {
      const auto at = breakers.probe_at("*");
      REQUIRE(at);
      CHECK(*at - now <= 800ms);
      longest = std::max<std::chrono::nanoseconds>(longest, *at - now);
      // What else was under way when it opened fails as well.
      breakers.open("*", denied, 0s, *at - 1ns);
      CHECK(breakers.probe_at("*") == at);
      now = *at;
      CHECK(breakers.may_probe("*", now));
      breakers.begin_probe("*", SpoolId{7});
      CHECK_FALSE(breakers.may_probe("*", now + 1h));
      breakers.open("*", denied, 0s, now);
      breakers.end_probe(SpoolId{6});
      CHECK_FALSE(breakers.probe_at("*"));
      breakers.end_probe(SpoolId{7});
    }
    CHECK(longest > 400ms);
    breakers.open("*", denied, 60s, now + 1s);
    CHECK(*breakers.probe_at("*") - (now + 1s) == 60s);
  }

  TEST_CASE_FIXTURE(Fixture, "in doubt a probe may go as well, at the same pace") {
    static_cast<void>(refuse_another("a/1"));
    const auto at = breakers.probe_at("*");
    REQUIRE(at);
    CHECK(*at - now <= 100ms);
    CHECK_FALSE(breakers.all_open());
    REQUIRE(breakers.everything());
    CHECK(breakers.everything()->cause.code == "AccessDenied");
    CHECK(breakers.everything()->since == now);
    static_cast<void>(breakers.stored("b/1", kBytes, now));
    CHECK_FALSE(breakers.everything());
  }

  TEST_CASE_FIXTURE(Fixture, "an answer that shows the store to be there closes everything") {
    CHECK_FALSE(breakers.answered());
    breakers.open("*", denied, 0s, now);
    CHECK(breakers.answered());
    CHECK_FALSE(breakers.all_open());
  }

  TEST_CASE_FIXTURE(Fixture, "the memory of groups is bounded, and open ones stay in it") {
    for (std::size_t i = 0; i < Breakers::kMaxOpenGroups; ++i) {
      CHECK(breakers.open("/open" + std::to_string(i) + "/", denied, 0s, now));
    }
    CHECK_FALSE(breakers.open("/one-too-many/", denied, 0s, now));
    CHECK(breakers.open("*", denied, 0s, now));
    for (int i = 0; i < 5000; ++i) {
      now += 1ms;
      static_cast<void>(refuse_another("closed" + std::to_string(i) + "/x"));
    }
    CHECK(breakers.all_that_are_open().size() == Breakers::kMaxOpenGroups);
    CHECK(refuse_another("closed4999/y").groups[2].refused_in_row == 2);
    CHECK(refuse_another("closed0/y").groups[2].refused_in_row == 1);
  }
}

}  // namespace
