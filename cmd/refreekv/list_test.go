package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFolded(t *testing.T) {
	const text = "short\nname  MIT  one two three four\n  option  five six – seven eight\naverylongwordwithoutanyblank\n"
	const want = "short\nname  MIT  one two\n    three four\n  option  five six –\n      seven eight\naverylongwordwithoutanyblank\n"
	if diff := cmp.Diff(want, folded(text, 20)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
