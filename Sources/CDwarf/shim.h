// SPDX-License-Identifier: Apache-2.0
//
// elfutils: source lines from a kernel's debug information.

#include <elfutils/libdw.h>
#include <libelf.h>
