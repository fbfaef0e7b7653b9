package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ResetPeak makes the system forget the most memory that the process held.
func ResetPeak() error { return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// Peak is the most memory, in bytes, that the process held at once since ResetPeak,
// or since it began.
func Peak() (int64, error) {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(raw) {
		text, ok := strings.CutPrefix(string(line), "VmHWM:")
		if !ok {
			continue
		}
		kB, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading VmHWM in /proc/self/status: %w", err)
		}
		return kB << 10, nil
	}
	return 0, fmt.Errorf("no VmHWM in /proc/self/status")
}
