// SPDX-License-Identifier: MIT
#pragma once

// CLEAVE_API marks what a shared library exports; everything else is hidden.
#define CLEAVE_API __attribute__((visibility("default")))
