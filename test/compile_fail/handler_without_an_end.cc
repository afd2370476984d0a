// SPDX-License-Identifier: MIT
// A streaming handler says what it does at the end of the body.
// error: abstract class
#include <memory>

#include "cleave/core/handler.h"

class HandlerWithoutAnEnd : public cleave::Handler {
 public:
  void on_body(cleave::Chunk) override {}
#ifndef MISUSE
  void on_end() override {}
#endif
};

std::unique_ptr<cleave::Handler> handler_without_an_end() {
  return std::unique_ptr<cleave::Handler>(new HandlerWithoutAnEnd);
}
