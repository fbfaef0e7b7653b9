package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"refreekv/datasets"
	"refreekv/model"
	"refreekv/model/tensor"
	"refreekv/tasks"
)

// show shows records of every task that there are records of, under both
// protocols.
func TestShowEveryTask(t *testing.T) {
	shared := os.Getenv("REFREEKV_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	data := filepath.Join(shared, "data")
	if _, err := os.Stat(data); err != nil {
		t.Skip("the records are not here: ", err)
	}
	t.Setenv("HF_ENDPOINT", "http://127.0.0.1:1")
	m, err := model.Find(t.Context(), filepath.Join(models, "tiny-m"), tensor.Float32, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.Config.MaxPositions = 1 << 20 // only its tokenizer matters
	shown := 0
	for _, task := range tasks.List() {
		records, err := datasets.Open(t.Context(), task.Dataset, datasets.Options{Dir: data, Limit: 2})
		if err != nil {
			if !strings.Contains(err.Error(), "refreekv pull dataset") {
				t.Errorf("%s: %v", task.Name, err)
			}
			continue
		}
		for _, protocol := range tasks.Protocols {
			d, err := task.Protocol(protocol)
			if err != nil {
				t.Fatal(err)
			}
			for _, record := range records {
				cmd := newShow()
				var out bytes.Buffer
				cmd.SetOut(&out)
				if err := showRecord(cmd, m, d, record, showOptions{length: 2048}); err != nil {
					t.Errorf("%s, %s: %v", task.Name, protocol, err)
				}
				if text := out.String(); strings.Count(text, "── references\n\"") != 1 || !strings.Contains(text, "── record "+record.ID+"  (") {
					t.Errorf("%s, %s: %.300s", task.Name, protocol, text)
				}
			}
			shown++
		}
	}
	if shown < 2*48 {
		t.Errorf("showed %d tasks and protocols", shown)
	}
}
