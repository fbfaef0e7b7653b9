package rows

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/google/renameio/v2"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// parquetRow is a Row as a flat Parquet record, readable by pandas and DuckDB.
type parquetRow struct {
	Model          string         `parquet:"model,dict"`
	ContextLength  int64          `parquet:"context_length"`
	Task           string         `parquet:"task,dict"`
	Protocol       string         `parquet:"protocol,dict"`
	Record         string         `parquet:"record"`
	Index          int64          `parquet:"index"`
	Variant        string         `parquet:"variant,dict"`
	Pruner         string         `parquet:"pruner,dict"`
	PromptTokens   int64          `parquet:"prompt_tokens"`
	PromptHash     string         `parquet:"prompt_hash"`
	Truncated      bool           `parquet:"truncated"`
	Inputs         string         `parquet:"inputs"`
	Kept           []float64      `parquet:"kept,list"`
	Budget         float64        `parquet:"budget"`
	KVBytes        int64          `parquet:"kv_bytes"`
	FullKVBytes    int64          `parquet:"full_kv_bytes"`
	Tokens         []int32        `parquet:"tokens,list"`
	Text           string         `parquet:"text,zstd"`
	Stop           string         `parquet:"stop,dict"`
	Score          float64        `parquet:"score"`
	FidelityTokens *int64         `parquet:"fidelity_tokens,optional"`
	KL             *float64       `parquet:"kl,optional"`
	Agreement      *float64       `parquet:"agreement,optional"`
	Divergence     *int64         `parquet:"divergence,optional"`
	ReferenceCount *int64         `parquet:"reference_tokens,optional"`
	Reference      *float64       `parquet:"reference,optional"`
	Error          *string        `parquet:"error,optional"`
	PrefillSeconds float64        `parquet:"prefill_seconds"`
	SharedTokens   int64          `parquet:"shared_tokens"`
	SelectSeconds  float64        `parquet:"select_seconds"`
	DecodeSeconds  float64        `parquet:"decode_seconds"`
	PeakBytes      int64          `parquet:"peak_bytes"`
	Parameters     int64          `parquet:"parameters"`
	Labels         []parquetLabel `parquet:"labels,list"`
	KVBytesLayers  []int64        `parquet:"kv_bytes_layers,list"`
	ReleasedBytes  int64          `parquet:"released_kv_bytes"`
	DType          string         `parquet:"dtype,dict"`
	Density        []string       `parquet:"kept_density,list"`
}

// parquetLabel is one of a row's labels. A list of them has an order, which a
// map has not.
type parquetLabel struct {
	Name  string  `parquet:"name,dict"`
	Value float64 `parquet:"value"`
}

func toParquet(r Row) parquetRow {
	p := parquetRow{
		utf8(r.Model), int64(r.ContextLength), utf8(r.Task), utf8(r.Protocol), utf8(r.Record), int64(r.Index), utf8(r.Variant), utf8(r.Pruner),
		int64(r.PromptTokens), utf8(r.PromptHash), r.Truncated, utf8(r.Inputs), r.Kept, r.Budget, r.KVBytes, r.FullKVBytes,
		r.Tokens, utf8(r.Text), utf8(r.Stop), r.Score, nil, nil, nil, nil, nil, nil, nil, r.Timing.Prefill, int64(r.Timing.Shared), r.Timing.Select, r.Timing.Decode, r.Timing.Peak,
		r.Parameters, nil, r.KVBytesLayers, r.ReleasedKVBytes, utf8(r.DType), r.Density,
	}
	for _, name := range slices.Sorted(maps.Keys(r.Labels)) {
		p.Labels = append(p.Labels, parquetLabel{utf8(name), r.Labels[name]})
	}
	if f := r.Fidelity; f != nil {
		tokens, divergence, count := int64(f.Tokens), int64(f.Divergence), int64(f.ReferenceTokens)
		p.FidelityTokens, p.KL, p.Agreement, p.Divergence = &tokens, &f.KL, &f.Agreement, &divergence
		p.ReferenceCount, p.Reference = &count, &f.Reference
	}
	if r.Error != "" {
		text := utf8(r.Error)
		p.Error = &text
	}
	return p
}

// utf8 replaces each byte that is no UTF-8, as encoding/json does: Parquet's
// strings must be UTF-8, and both files of a run must say the same.
func utf8(s string) string { return string([]rune(s)) }

func (p parquetRow) row() Row {
	r := Row{
		p.Model, int(p.ContextLength), p.Task, p.Protocol, p.Record, int(p.Index), p.Variant, p.Pruner, p.Parameters, p.DType, nil,
		int(p.PromptTokens), p.PromptHash, p.Truncated, p.Inputs, p.Kept, p.Density, p.Budget, p.KVBytes, p.FullKVBytes, p.KVBytesLayers, p.ReleasedBytes,
		p.Tokens, p.Text, p.Stop, p.Score, nil, "", Timing{p.PrefillSeconds, int(p.SharedTokens), p.SelectSeconds, p.DecodeSeconds, p.PeakBytes},
	}
	if p.KL != nil && p.FidelityTokens != nil && p.Agreement != nil && p.Divergence != nil && p.ReferenceCount != nil && p.Reference != nil {
		r.Fidelity = &Fidelity{int(*p.FidelityTokens), *p.KL, *p.Agreement, int(*p.Divergence), int(*p.ReferenceCount), *p.Reference}
	}
	for _, label := range p.Labels {
		if r.Labels == nil {
			r.Labels = map[string]float64{}
		}
		r.Labels[label.Name] = label.Value
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
		return WriteError("writing", path, err)
	}
	defer out.Cleanup()
	options := []parquet.WriterOption{parquet.Compression(&zstd.Codec{}), parquet.CreatedBy("refreekv", "", "")}
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		options = append(options, parquet.KeyValueMetadata(key, meta[key]))
	}
	w := parquet.NewGenericWriter[parquetRow](out, options...)
	for _, row := range rows {
		if _, err := w.Write([]parquetRow{toParquet(row)}); err != nil {
			return WriteError("writing", path, err)
		}
	}
	if err := w.Close(); err != nil {
		return WriteError("writing", path, err)
	}
	if err := out.CloseAtomicallyReplace(); err != nil {
		return WriteError("writing", path, err)
	}
	return nil
}

// ReadParquet reads what WriteParquet wrote.
func ReadParquet(path string) ([]Row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the stored rows: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the stored rows: %w", err)
	}
	rows, err := readParquet(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: damaged Parquet file: %w", path, err)
	}
	return rows, nil
}

func readParquet(f io.ReaderAt, size int64) (rows []Row, err error) {
	defer func() {
		if r := recover(); r != nil { // damaged files can make the library panic
			rows, err = nil, fmt.Errorf("%v", r)
		}
	}()
	// The library believes the length that stands before the closing mark, and
	// makes room for a footer of up to 4 GiB.
	var tail [8]byte
	if _, err := f.ReadAt(tail[:], max(size-int64(len(tail)), 0)); err != nil {
		return nil, errors.New("it is too short")
	}
	if footer := int64(binary.LittleEndian.Uint32(tail[:4])); footer > size-int64(len(tail)) {
		return nil, fmt.Errorf("its footer of %d bytes is longer than the file", footer)
	}
	file, err := parquet.OpenFile(f, size)
	if err != nil {
		return nil, err
	}
	if !parquet.EqualNodes(file.Schema(), parquet.SchemaOf(parquetRow{})) {
		return nil, errors.New("its columns are not those of a run's rows")
	}
	for _, group := range file.RowGroups() {
		part, err := readGroup(group)
		if err != nil {
			return nil, err
		}
		rows = append(rows, part...)
	}
	if int64(len(rows)) != file.NumRows() {
		return nil, fmt.Errorf("it holds %d rows and names %d", len(rows), file.NumRows())
	}
	return rows, nil
}

// readGroup reads a row group value by value. In a damaged file a column may lack
// values or lead to those of another, whose numbers the library would then read
// as addresses.
func readGroup(group parquet.RowGroup) (out []Row, err error) {
	schema := parquet.SchemaOf(parquetRow{})
	var kinds []parquet.Kind
	for _, path := range schema.Columns() {
		leaf, _ := schema.Lookup(path...)
		kinds = append(kinds, leaf.Node.Type().Kind())
	}
	in := group.Rows()
	defer in.Close()
	block := make([]parquet.Row, 64)
	for {
		n, err := in.ReadRows(block)
		for _, row := range block[:n] {
			if err := checkValues(row, kinds); err != nil {
				return nil, err
			}
			var p parquetRow
			if err := schema.Reconstruct(&p, row); err != nil {
				return nil, err
			}
			out = append(out, p.row())
		}
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, errors.New("it ends before its last row")
		}
	}
}

// checkValues makes sure that a row holds values of every column, in order and of
// the column's kind.
func checkValues(row parquet.Row, kinds []parquet.Kind) error {
	at := -1
	for _, value := range row {
		column := value.Column()
		if column != at && column != at+1 || column >= len(kinds) {
			return fmt.Errorf("column %d lacks values", at+2)
		}
		if !value.IsNull() && value.Kind() != kinds[column] {
			return fmt.Errorf("column %d holds values of another kind", column+1)
		}
		at = column
	}
	if at != len(kinds)-1 {
		return fmt.Errorf("column %d lacks values", at+2)
	}
	return nil
}
