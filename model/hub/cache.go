package hub

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// CacheDir is the program's cache folder: $REFREEKV_CACHE, else refreekv in the
// user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("REFREEKV_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a cache folder: %w; set REFREEKV_CACHE", err)
	}
	return filepath.Join(dir, "refreekv"), nil
}

// hfCache is the folder that Python's huggingface_hub keeps models in.
func hfCache() string {
	if dir := os.Getenv("HF_HUB_CACHE"); dir != "" {
		return dir
	}
	if home := hfHome(); home != "" {
		return filepath.Join(home, "hub")
	}
	return ""
}

func hfHome() string {
	if dir := os.Getenv("HF_HOME"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "huggingface")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".cache", "huggingface")
}

// token is the user's hub token, empty if there is none.
func token() string {
	if t := strings.TrimSpace(os.Getenv("HF_TOKEN")); t != "" {
		return t
	}
	path := os.Getenv("HF_TOKEN_PATH")
	if home := hfHome(); path == "" && home != "" {
		path = filepath.Join(home, "token")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return trimSpace(raw)
}

// offline reports whether the user forbids asking the hub, in the words that
// Python's huggingface_hub understands.
func offline() bool {
	switch strings.ToUpper(os.Getenv("HF_HUB_OFFLINE")) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}
