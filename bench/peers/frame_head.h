// SPDX-License-Identifier: MIT
#pragma once

#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace cleave::bench {

// The head of a frame as a programmer with a JSON library reads and writes it: the ordinary way,
// which the framed peers take. Nothing here is Cleave's own code.

// The length in front of a header.
inline std::uint32_t length_of(const unsigned char* bytes) {
  return static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 8 |
         static_cast<std::uint32_t>(bytes[2]) << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
}

struct Asked {
  bool good = false;
  std::uint64_t body_bytes = 0;
  std::string reply_head;  // length and header
};

// Reads the header of an echo and writes the head of its reply.
inline Asked read_echo(const char* header, std::size_t size) {
  Asked asked;
  rapidjson::Document document;
  document.Parse(header, size);
  if (document.HasParseError() || !document.IsObject()) return asked;
  if (document.HasMember("data_size")) {
    const rapidjson::Value& size_of_body = document["data_size"];
    if (!size_of_body.IsUint64()) return asked;
    asked.body_bytes = size_of_body.GetUint64();
  }
  rapidjson::StringBuffer text;
  rapidjson::Writer<rapidjson::StringBuffer> writer(text);
  writer.StartObject();
  writer.Key("data_size");
  writer.Uint64(asked.body_bytes);
  if (document.HasMember("id")) {
    const rapidjson::Value& id = document["id"];
    if (!id.IsUint64()) return asked;
    writer.Key("id");
    writer.Uint64(id.GetUint64());
  }
  writer.Key("status");
  writer.String("ok");
  writer.EndObject();
  const std::size_t length = text.GetSize();
  for (int shift = 0; shift < 32; shift += 8) {
    asked.reply_head.push_back(static_cast<char>(length >> shift & 0xff));
  }
  asked.reply_head.append(text.GetString(), length);
  asked.good = true;
  return asked;
}

}  // namespace cleave::bench
