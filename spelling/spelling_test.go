package spelling

import "testing"

func TestSuggest(t *testing.T) {
	names := []string{"full", "snapkv", "streamingllm", "h2o", "threshold_free", "llama-3-8b-instruct", "smollm2-135m-instruct", "md"}
	for name, want := range map[string]string{
		"snapk": "snapkv", "SnapKV": "snapkv", "snpakv": "snapkv", "streaming": "streamingllm", "streamingllms": "streamingllm",
		"smollm2": "smollm2-135m-instruct", "ful": "full", "h20": "h2o", "threshold-free": "threshold_free", "Llama3": "llama-3-8b-instruct",
		"135m": "smollm2-135m-instruct", "full_attention": "",
		"tova": "", "": "", "x": "", "xy": "", "pdf": "", "-": "",
	} {
		if want != "" {
			want = `; did you mean "` + want + `"?`
		}
		if got := Suggest(name, names, ""); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestSuggestOtherwise(t *testing.T) {
	if got, want := Suggest("pdf", []string{"md"}, "see the list"), "; see the list"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOneOf(t *testing.T) {
	names := []string{"md", "tex"}
	for name, want := range map[string]string{"pdf": "; want one of md, tex", "text": `; did you mean "tex"?`} {
		if got := OneOf(name, names); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
