// SPDX-License-Identifier: MIT
#include "cleave/core/observer.h"

#include <cstdlib>

namespace cleave {
inline namespace v0 {

// Switches without a default: a compiler warns of a reason that is added and not named here.

std::string_view to_string(Observer::CloseReason reason) noexcept {
  switch (reason) {
    case Observer::CloseReason::finished:
      return "finished";
    case Observer::CloseReason::truncated:
      return "truncated";
    case Observer::CloseReason::reset:
      return "reset";
    case Observer::CloseReason::protocol_error:
      return "protocol_error";
    case Observer::CloseReason::timed_out:
      return "timed_out";
    case Observer::CloseReason::drained:
      return "drained";
    case Observer::CloseReason::overloaded:
      return "overloaded";
    case Observer::CloseReason::broken_reply:
      return "broken_reply";
  }
  std::abort();
}

std::string_view to_string(Observer::DropReason reason) noexcept {
  switch (reason) {
    case Observer::DropReason::malformed:
      return "malformed";
    case Observer::DropReason::not_request:
      return "not_request";
    case Observer::DropReason::truncated:
      return "truncated";
    case Observer::DropReason::too_large:
      return "too_large";
    case Observer::DropReason::unsendable:
      return "unsendable";
  }
  std::abort();
}

std::string_view to_string(CancelReason reason) noexcept {
  switch (reason) {
    case CancelReason::deadline:
      return "deadline";
    case CancelReason::cancelled:
      return "cancelled";
    case CancelReason::peer_gone:
      return "peer_gone";
    case CancelReason::draining:
      return "draining";
  }
  std::abort();
}

}  // namespace v0
}  // namespace cleave
