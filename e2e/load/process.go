package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ticks is how many of Linux's clock ticks make a second for user programs, on
// every processor that Go runs on.
const ticks = 100

// cpuTime is the processor time that a process has used, user and system. It is
// known on Linux only, and 0 elsewhere.
func cpuTime(pid int) time.Duration {
	raw := processFile(pid, "stat")
	// The second field, a name in parentheses, may hold spaces.
	_, rest, found := strings.Cut(raw, ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 13 {
		return 0
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(user+system) * time.Second / ticks
}

// processor is the name of the processor, as far as the system tells.
func processor() string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// load is how many processes wanted a processor over the last minute, on
// average, as far as the system tells.
func load() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	minute, _, _ := strings.Cut(string(raw), " ")
	return minute
}

// residentMemory is how much of a process is in memory, in bytes; 0 where that
// is unknown.
func residentMemory(pid int) uint64 {
	fields := strings.Fields(processFile(pid, "statm"))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

// processFile is what the system tells of a process; nothing where it does not.
func processFile(pid int, name string) string {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name)) //nolint:gosec // a number and a name of ours
	if err != nil {
		return ""
	}
	return string(raw)
}
