#include "decode/data_kind.hpp"

#include <doctest/doctest.h>

#include <string_view>
#include <utility>
#include <vector>

namespace {

TEST_SUITE("data kind") {
  using m2b::describe_data;
  using namespace std::string_view_literals;

  TEST_CASE("data has the name that its first bytes tell") {
    const std::vector<std::pair<std::string_view, std::string_view>> cases{
        {"\xFF\xD8\xFF\xE0"sv, "a JPEG image"},
        {"\x89PNG\r\n\x1A\n"sv, "a PNG image"},
        {"GIF89a"sv, "a GIF image"},
        {"II\x2A\0"sv, "a TIFF image"},
        {"RIFF\0\0\0\0WEBP"sv, "a WebP image"},
        {"\0\0\0\x18"
         "ftypmp42"sv,
         "an MP4 video"},
        {"\x1F\x8B\x08\0"sv, "gzip data"},
        {"\x78\x9C\x01"sv, "zlib data"},
        {"PK\x03\x04"sv, "a ZIP archive"},
        {"\x28\xB5\x2F\xFD"sv, "Zstandard data"},
        {"%PDF-1.7"sv, "a PDF document"},
        {" \n<?xml version"sv, "an XML document"},
        {"<!DOCTYPE html>"sv, "an HTML document"},
        {"data:image/jpeg;base64,/9j/"sv, "a data: URL"},
        {"b'/9j/'"sv, "Python's b'...' notation"},
        {"/9j/4AAQSkZJRgABAQAAAQABAAD"sv, "the base64 text of a JPEG image"},
        {"\r\niVBORw0KGgo="sv, "the base64 text of a PNG image"},
        {"H4sIAAAAAAAA"sv, "the base64 text of gzip data"}};
    for (const auto& [data, name] : cases) CHECK(describe_data(data) == name);
  }

  TEST_CASE("what is not known has no name") {
    for (const std::string_view data : {""sv, " "sv, "{"sv, "hello"sv, "\xFF"sv, "\0\0\0\0"sv,
                                        "{\"a\": 1"sv, "[1, 2"sv, "'text'"sv, "abcdefgh"sv}) {
      CAPTURE(data);
      CHECK(describe_data(data).empty());
    }
  }
}

}  // namespace
