//go:build ignore

// Command logits writes what a model predicts after every so many tokens of a
// text, as float32 in little-endian order, [predictions][vocab]:
//
//	go run docs/race/logits.go MODEL EVERY DTYPE < tokens.json > logits.f32
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"log"
	"os"
	"strconv"

	"refreekv/model"
	"refreekv/model/tensor"
)

func main() {
	var tokens []int32
	check(json.NewDecoder(os.Stdin).Decode(&tokens))
	every, err := strconv.Atoi(os.Args[2])
	check(err)
	dtype, err := tensor.ParseDType(os.Args[3])
	check(err)
	m, err := model.OpenAs(os.Args[1], dtype)
	check(err)
	defer m.Close()
	out := bufio.NewWriter(os.Stdout)
	var before *model.Prefix
	for n := every; n <= len(tokens); n += every {
		// A prompt that is some tokens longer takes over what the one before it holds.
		p, err := m.PrefillAfter(context.Background(), before, tokens[:n], model.Needs{}, []int{n - 1})
		check(err)
		check(binary.Write(out, binary.LittleEndian, p.Logits()))
		before = p
	}
	check(out.Flush())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
