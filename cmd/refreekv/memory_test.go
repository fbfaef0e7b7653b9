package main

import "testing"

func TestParseMemory(t *testing.T) {
	for text, want := range map[string]int64{
		"8GB": 8e9, "1.5gb": 1.5e9, "500 MB": 5e8, "64kB": 64e3, "1TB": 1e12, "2GiB": 2 << 30, "": totalMemory() / 5 * 4,
	} {
		if got, err := parseMemory(text); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"GB", "8", "8G", "8 apples", "-1GB", "0", "1e300GB", "NaN", "inf"} {
		if got, err := parseMemory(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}
