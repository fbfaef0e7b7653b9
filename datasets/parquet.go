package datasets

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// readParquet reads a Parquet file as Hugging Face lays data sets out.
func readParquet(f io.ReaderAt, size int64, path string, limit int) (out []raw, err error) {
	defer func() {
		if r := recover(); r != nil { // damaged files can make the library panic
			out, err = nil, fmt.Errorf("%s: damaged Parquet file: %v", path, r)
		}
	}()
	file, err := parquet.OpenFile(f, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	reader := parquet.NewGenericReader[map[string]any](file, file.Schema())
	defer reader.Close()
	batch := make([]map[string]any, 64)
	for limit == 0 || len(out) < limit {
		for i := range batch {
			batch[i] = map[string]any{}
		}
		n, err := reader.Read(batch)
		for _, fields := range batch[:n] {
			if limit > 0 && len(out) == limit {
				break
			}
			for name, value := range fields {
				fields[name] = plain(value)
			}
			out = append(out, raw{fields, fmt.Sprintf("%s#%d", path, len(out))})
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return out, nil
}

// plain turns what the Parquet reader gives into the types of a Record; lists
// arrive as {"list": [{"element": x}, …]}.
func plain(v any) any {
	switch v := v.(type) {
	case int32:
		return int64(v)
	case float32:
		return float64(v)
	case []byte:
		return string(v)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = plain(item)
		}
		return out
	case map[string]any:
		if list, ok := v["list"].([]any); ok && len(v) == 1 {
			out := make([]any, len(list))
			for i, item := range list {
				if wrapped, ok := item.(map[string]any); ok && len(wrapped) == 1 {
					for _, inner := range wrapped {
						item = inner
					}
				}
				out[i] = plain(item)
			}
			return out
		}
		for name, value := range v {
			v[name] = plain(value)
		}
	}
	return v
}
