package rows

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/google/renameio/v2"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// parquetRow is a Row as a flat Parquet record, readable by pandas and DuckDB.
type parquetRow struct {
	Model          string    `parquet:"model,dict"`
	ContextLength  int64     `parquet:"context_length"`
	Task           string    `parquet:"task,dict"`
	Protocol       string    `parquet:"protocol,dict"`
	Record         string    `parquet:"record"`
	Index          int64     `parquet:"index"`
	Variant        string    `parquet:"variant,dict"`
	Pruner         string    `parquet:"pruner,dict"`
	PromptTokens   int64     `parquet:"prompt_tokens"`
	PromptHash     string    `parquet:"prompt_hash"`
	Truncated      bool      `parquet:"truncated"`
	Kept           []float64 `parquet:"kept,list"`
	Budget         float64   `parquet:"budget"`
	KVBytes        int64     `parquet:"kv_bytes"`
	FullKVBytes    int64     `parquet:"full_kv_bytes"`
	Tokens         []int32   `parquet:"tokens,list"`
	Text           string    `parquet:"text,zstd"`
	Stop           string    `parquet:"stop,dict"`
	Score          float64   `parquet:"score"`
	Error          *string   `parquet:"error,optional"`
	PrefillSeconds float64   `parquet:"prefill_seconds"`
	SelectSeconds  float64   `parquet:"select_seconds"`
	DecodeSeconds  float64   `parquet:"decode_seconds"`
}

func toParquet(r Row) parquetRow {
	p := parquetRow{
		r.Model, int64(r.ContextLength), r.Task, r.Protocol, r.Record, int64(r.Index), r.Variant, r.Pruner,
		int64(r.PromptTokens), r.PromptHash, r.Truncated, r.Kept, r.Budget, r.KVBytes, r.FullKVBytes,
		r.Tokens, r.Text, r.Stop, r.Score, nil, r.Timing.Prefill, r.Timing.Select, r.Timing.Decode,
	}
	if r.Error != "" {
		p.Error = &r.Error
	}
	return p
}

func (p parquetRow) row() Row {
	r := Row{
		p.Model, int(p.ContextLength), p.Task, p.Protocol, p.Record, int(p.Index), p.Variant, p.Pruner,
		int(p.PromptTokens), p.PromptHash, p.Truncated, p.Kept, p.Budget, p.KVBytes, p.FullKVBytes,
		p.Tokens, p.Text, p.Stop, p.Score, "", Timing{p.PrefillSeconds, p.SelectSeconds, p.DecodeSeconds},
	}
	if p.Error != nil {
		r.Error = *p.Error
	}
	return r
}

// WriteParquet writes all rows of a run as one Parquet file, all or nothing,
// with meta in its footer.
func WriteParquet(path string, rows []Row, meta map[string]string) error {
	out, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer out.Cleanup()
	options := []parquet.WriterOption{parquet.Compression(&zstd.Codec{}), parquet.CreatedBy("refreekv", "", "")}
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		options = append(options, parquet.KeyValueMetadata(key, meta[key]))
	}
	w := parquet.NewGenericWriter[parquetRow](out, options...)
	for _, row := range rows {
		if _, err := w.Write([]parquetRow{toParquet(row)}); err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := out.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// ReadParquet reads what WriteParquet wrote.
func ReadParquet(path string) (rows []Row, err error) {
	defer func() {
		if r := recover(); r != nil { // damaged files can make the library panic
			err = fmt.Errorf("%s: damaged Parquet file: %v", path, r)
		}
	}()
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("reading the stored rows: %w", err)
	}
	stored, err := parquet.ReadFile[parquetRow](path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, p := range stored {
		rows = append(rows, p.row())
	}
	return rows, nil
}
