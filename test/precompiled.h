// SPDX-License-Identifier: MIT
#pragma once
// What nearly all tests include, for the builds that read it once. No file relies on that: the
// other builds know nothing of it.

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "cleave/core/client.h"
#include "cleave/core/endpoint.h"
#include "cleave/testing/every_split.h"
#include "cleave/testing/live_server.h"
#include "cleave/testing/scratch_directory.h"
#include "cleave/testing/test_server.h"
