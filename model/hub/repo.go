package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

const (
	singleFile = "model.safetensors"
	indexFile  = "model.safetensors.index.json"
)

// metadataTimeout bounds the wait for the hub's first word about a file.
const metadataTimeout = 10 * time.Second

var errNotFound = errors.New("there is no such file")

func endpoint() string {
	if e := os.Getenv("HF_ENDPOINT"); e != "" {
		return strings.TrimRight(e, "/")
	}
	return "https://huggingface.co"
}

// fetchRepo fetches the files of a model that are needed to run it into dir.
func fetchRepo(ctx context.Context, repo, dir string, p Progress) error {
	if offline() {
		return errors.New("HF_HUB_OFFLINE is set")
	}
	for _, name := range []string{"config.json", "tokenizer.json"} {
		if err := fetchFile(ctx, repo, name, dir, p); err != nil {
			return err
		}
	}
	for _, name := range []string{"tokenizer_config.json", "generation_config.json", "chat_template.jinja"} {
		if err := fetchFile(ctx, repo, name, dir, p); err != nil && !errors.Is(err, errNotFound) {
			return err
		}
	}
	err := fetchFile(ctx, repo, singleFile, dir, p)
	if !errors.Is(err, errNotFound) {
		return err
	}
	err = fetchFile(ctx, repo, indexFile, dir, p)
	if errors.Is(err, errNotFound) {
		return fmt.Errorf("the repository holds neither %s nor %s; other kinds of weights are not read", singleFile, indexFile)
	}
	if err != nil {
		return err
	}
	shards, err := indexedShards(filepath.Join(dir, indexFile))
	if err != nil {
		return err
	}
	for _, name := range shards {
		if err := fetchFile(ctx, repo, name, dir, p); err != nil {
			return err
		}
	}
	return nil
}

// indexedShards lists the files that a sharded model's index names.
func indexedShards(path string) ([]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var index struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var names []string
	for _, name := range index.Map {
		if name != filepath.Base(name) || name == ".." || name == "." {
			return nil, fmt.Errorf("%s names the shard %q, which is no file of its folder", path, name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// fetchFile fetches one file of a repository's main branch, checked against the
// checksum that the hub gives.
func fetchFile(ctx context.Context, repo, name, dir string, p Progress) error {
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	address := fmt.Sprintf("%s/%s/resolve/main/%s", endpoint(), repo, url.PathEscape(name))
	header := http.Header{}
	if t := token(); t != "" {
		header.Set("Authorization", "Bearer "+t)
	}
	etag, err := fileTag(ctx, address, header)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	d := Download{URL: address, Path: path, Header: header, Label: name}
	switch {
	case !hexDigits.MatchString(etag):
	case len(etag) == 64:
		d.SHA256 = etag
	case len(etag) == 40:
		d.GitSHA1 = etag
	}
	return Fetch(ctx, d, p)
}

var hexDigits = regexp.MustCompile(`^[0-9a-f]+$`)

// fileTag asks the hub for a file's tag, which is its SHA-256 or git blob id.
// The hub's answer counts, not that of the storage it points to: redirects are
// followed only within the hub, where a repository may have got a new name.
func fileTag(ctx context.Context, address string, header http.Header) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return "", err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Accept-Encoding", "identity")
	answer, err := client(func(next *http.Request, via []*http.Request) error {
		if next.Response.Header.Get("X-Linked-Etag") != "" || next.URL.Host != via[0].URL.Host {
			return http.ErrUseLastResponse
		}
		return nil
	}).Do(req)
	if err != nil {
		return "", plainNetworkError(err)
	}
	answer.Body.Close()
	if err := refusal(answer); err != nil {
		return "", err
	}
	tag := answer.Header.Get("X-Linked-Etag")
	if tag == "" {
		tag = answer.Header.Get("ETag")
	}
	return strings.Trim(strings.TrimPrefix(tag, "W/"), `"`), nil
}

// refusal says in plain words why the hub gives no file; nil if it does.
func refusal(answer *http.Response) error {
	code := answer.Header.Get("X-Error-Code")
	switch {
	case answer.StatusCode < 400:
		return nil
	case code == "RepoNotFound":
		return errors.New("there is no such repository, or it is private and needs HF_TOKEN")
	case answer.StatusCode == http.StatusNotFound:
		return errNotFound
	case code == "GatedRepo", answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("the server answers %s; a gated model needs HF_TOKEN and its terms accepted on its page", answer.Status)
	}
	return statusError{answer.Status}
}

// plainNetworkError keeps what a person needs of a network error.
func plainNetworkError(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fmt.Errorf("the host %s cannot be found", dns.Name)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	var request *url.Error // repeats the address, which our own message names
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}
