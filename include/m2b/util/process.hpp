#pragma once

#include <span>
#include <string>

/// What this process is given, and what others can see of it.
namespace m2b {

/// Opens those of the descriptors 0, 1 and 2 that are closed, so that no file, socket or library
/// gets a number to which the log, or a terminal's text, is written. First of all in main(). Ends
/// the process with EX_OSERR where not even that can be opened.
void reserve_standard_descriptors() noexcept;

/// Takes the values of these variables out of the block that the kernel shows as /proc/PID/environ
/// and `ps e`; the process itself reads them as before. Before the first thread.
void hide_from_process_list(std::span<const std::string> variables);

/// From now on a core dump holds registers and the list of mapped files, and nothing of the memory:
/// neither secrets nor pictures (core(5), "Controlling which mappings are written to the core
/// dump"). Where the kernel refuses that, there are no core dumps at all. Children inherit it.
void keep_memory_out_of_core_dumps() noexcept;

}  // namespace m2b
