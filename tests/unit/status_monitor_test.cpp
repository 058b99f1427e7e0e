#include "m2b/status/status_monitor.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "status/status_json.hpp"
#include "support/fake_object_store.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

using namespace m2b;

TEST_SUITE("status_monitor") {
  struct Fixture {
    test::TempDir dir;
    test::FakeBucket bucket;
    MqttOptions mqtt_options;
    PipelineOptions pipeline_options;
    Spool spool{{.directory = dir.path(), .max_bytes = 0, .min_free_bytes = 0}};
    Pipeline pipeline{pipeline_options, spool,
                      [this] { return std::make_unique<test::FakeObjectStore>(bucket); }};
    Receiver receiver{mqtt_options, spool};
    int pokes = 0;
    StatusMonitor monitor{{.spool = spool,
                           .receiver = receiver,
                           .pipeline = pipeline,
                           .names = {.topics = {"ia/#"}, .spool = "/spool"},
                           .poke = [this] { ++pokes; }}};
  };

  TEST_CASE_FIXTURE(Fixture, "the sentence is there at once, and that of the view") {
    test::append_durably(spool, "ia/x", test::image_json("a", "QUJD"));
    monitor.start();
    CHECK(monitor.sentence() == monitor.view().diagnosis.sentence);
    CHECK(monitor.sentence().starts_with("Starting: connecting to the broker; 1 picture ("));
    CHECK(pokes == 1);
    monitor.stop();
    monitor.stop();
  }
}

}  // namespace
