// SPDX-License-Identifier: MIT
// Keeping a chunk takes the memory that it looks at, once.
// error: discards qualifiers|rvalue ref-qualifier
#include "cleave/core/buffer.h"

cleave::Buffer chunk_kept_on_an_lvalue(cleave::Chunk chunk) {
#ifdef MISUSE
  return chunk.keep();
#else
  return std::move(chunk).keep();
#endif
}
