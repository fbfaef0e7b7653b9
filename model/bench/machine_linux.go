package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

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
