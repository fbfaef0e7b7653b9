package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// field is what stands behind a name and a colon in a file of /proc; empty if
// the name is not there.
func field(raw []byte, name string) string {
	for line := range bytes.Lines(raw) {
		if before, after, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(before) == name {
			return strings.TrimSpace(after)
		}
	}
	return ""
}

// caches are the bytes of the first core's second and third level.
func caches() (l2, l3 int64) {
	folders, _ := filepath.Glob("/sys/devices/system/cpu/cpu0/cache/index*")
	for _, folder := range folders {
		level, _ := os.ReadFile(filepath.Join(folder, "level"))
		text, _ := os.ReadFile(filepath.Join(folder, "size"))
		size, err := cacheSize(strings.TrimSpace(string(text)))
		if err != nil {
			continue
		}
		switch strings.TrimSpace(string(level)) {
		case "2":
			l2 = size
		case "3":
			l3 = size
		}
	}
	return l2, l3
}

// cacheSize reads "1024K".
func cacheSize(text string) (int64, error) {
	for suffix, unit := range map[string]int64{"K": 1 << 10, "M": 1 << 20} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			n, err := strconv.ParseInt(number, 10, 64)
			return n * unit, err
		}
	}
	return 0, fmt.Errorf("%q is no size of a cache", text)
}

// resetPeak makes the kernel forget the highest memory use so far.
func resetPeak() error { return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// peakResident is the most memory, in bytes, that the process has had at once
// since resetPeak.
func peakResident() (int64, error) {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	kB, err := strconv.ParseInt(strings.TrimSuffix(field(raw, "VmHWM"), " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("no VmHWM in /proc/self/status: %w", err)
	}
	return kB << 10, nil
}
