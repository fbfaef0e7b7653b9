package model

import "testing"

// The recorded models cover, between them, every way in which the supported
// families differ.
func TestFamiliesCover(t *testing.T) {
	logitsOf := func(arch string, tied bool) func(*Model) bool {
		return func(m *Model) bool { return m.Config.Architecture == arch && m.Config.Tied == tied }
	}
	kind := func(kind string) func(*Model) bool {
		return func(m *Model) bool { return m.Config.Ropes[0].Kind == kind }
	}
	anyLayer := func(is func(LayerConfig) bool) func(*Model) bool {
		return func(m *Model) bool {
			for _, l := range m.Config.LayerParts {
				if is(l) {
					return true
				}
			}
			return false
		}
	}
	features := map[string]func(*Model) bool{
		"multi-head attention":    func(m *Model) bool { return m.Config.KVHeads == m.Config.Heads },
		"grouped queries":         func(m *Model) bool { return m.Config.KVHeads > 1 && m.Config.Group() > 1 },
		"one KV head":             func(m *Model) bool { return m.Config.KVHeads == 1 },
		"heads wider than hidden": func(m *Model) bool { return m.Config.Heads*m.Config.HeadDim > m.Config.Hidden },
		"llama, tied":             logitsOf("llama", true), "llama, untied": logitsOf("llama", false),
		"qwen2, tied": logitsOf("qwen2", true), "qwen2, untied": logitsOf("qwen2", false),
		"qwen3, tied": logitsOf("qwen3", true), "qwen3, untied": logitsOf("qwen3", false),
		"mistral, untied": logitsOf("mistral", false), "phi3, untied": logitsOf("phi3", false), "smollm3, tied": logitsOf("smollm3", true),
		"gemma2, tied": logitsOf("gemma2", true), "gemma3, tied": logitsOf("gemma3_text", true),
		"default rope": kind(RopeDefault), "linear rope": kind(RopeLinear), "dynamic rope": kind(RopeDynamic),
		"llama3 rope": kind(RopeLlama3), "yarn rope": kind(RopeYarn), "longrope": kind(RopeLongRope),
		"partial rope":         func(m *Model) bool { return m.Config.Ropes[0].Dim < m.Config.HeadDim },
		"two ropes":            func(m *Model) bool { return len(m.Config.Ropes) == 2 },
		"layers without rope":  anyLayer(func(l LayerConfig) bool { return l.Rope < 0 }),
		"window":               anyLayer(func(l LayerConfig) bool { return l.Window > 0 }),
		"window without rope":  anyLayer(func(l LayerConfig) bool { return l.Window > 0 && l.Rope < 0 }),
		"window in a qwen2":    func(m *Model) bool { return m.Config.Architecture == "qwen2" && m.Config.LayerParts[1].Window > 0 },
		"no window in mistral": func(m *Model) bool { return m.Config.Architecture == "mistral" && m.Config.LayerParts[0].Window == 0 },
		"bias of queries":      func(m *Model) bool { return m.layers[0].qkvBias != nil && m.layers[0].outBias == nil },
		"bias of output":       func(m *Model) bool { return m.layers[0].outBias != nil },
		"query norm":           func(m *Model) bool { return m.layers[0].qNorm != nil },
		"norms behind":         func(m *Model) bool { return m.layers[0].attnPost != nil },
		"fused projections":    func(m *Model) bool { return m.Config.arch.fused },
		"soft caps":            func(m *Model) bool { return m.Config.ScoreCap > 0 && m.Config.LogitCap > 0 },
		"scaled embeddings":    func(m *Model) bool { return m.Config.EmbedScale != 1 },
		"GeGLU":                func(m *Model) bool { return m.Config.Activation == activationGELUTanh },
		"query scale":          func(m *Model) bool { s := m.Config.QueryScale; return s*s*float64(m.Config.HeadDim) < 0.9 },
		"multimodal":           func(m *Model) bool { return m.Config.multimodal },
	}
	eachFamily(t, func(t *testing.T, m *Model, c familyCase) {
		for feature, has := range features {
			if has(m) {
				delete(features, feature)
			}
		}
		short, long, most := len(c.Prompts[0].IDs), 0, 0
		for _, p := range c.Prompts {
			if len(p.Greedy) != 64 {
				t.Errorf("%d greedy tokens after %d, want 64", len(p.Greedy), len(p.IDs))
			}
			long = max(long, len(p.IDs))
		}
		for _, l := range m.Config.LayerParts {
			most = max(most, l.Window)
		}
		if rope := m.Config.Ropes[0]; rope.Trained > 0 && rope.Kind != RopeLinear {
			most = max(most, rope.Trained)
		}
		if short > most && most > 0 || long <= most {
			t.Errorf("prompts of %d to %d tokens do not lie on both sides of window and trained length, %d", short, long, most)
		}
	})
	for feature := range features {
		t.Errorf("no recorded model has %s", feature)
	}
}
