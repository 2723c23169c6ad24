package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"goemu/internal/config"
)

// parseStructured parses a keyval list or, when it starts with "{", a JSON object.
func parseStructured(origin, value, implied string) (config.Options, error) {
	o := config.Options{Origin: origin, Text: value}
	if strings.HasPrefix(value, "{") {
		pairs, err := parseJSON(value)
		if err != nil {
			return o, fmt.Errorf("%s: %w", origin, err)
		}
		o.JSON, o.Pairs = true, pairs
		return o, nil
	}
	o.Pairs = config.ParseOpts(value, implied)
	return o, nil
}

// parseJSON parses one JSON object, keeping the order of its members.
func parseJSON(s string) ([]config.Pair, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	bad := func(err error) ([]config.Pair, error) {
		var syn *json.SyntaxError
		if errors.As(err, &syn) {
			return nil, fmt.Errorf("JSON parse error, %v at offset %d", syn, syn.Offset)
		}
		return nil, fmt.Errorf("JSON parse error, %w", err)
	}
	if _, err := d.Token(); err != nil {
		return bad(err)
	}
	var out []config.Pair
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return bad(err)
		}
		var v any
		if err := d.Decode(&v); err != nil {
			return bad(err)
		}
		out = append(out, config.Pair{Key: k.(string), Value: v})
	}
	if _, err := d.Token(); err != nil {
		return bad(err)
	}
	rest, err := io.ReadAll(io.MultiReader(d.Buffered(), strings.NewReader("")))
	if err != nil || len(bytes.TrimSpace(rest)) != 0 {
		return nil, errors.New("JSON parse error, expecting end of input")
	}
	return out, nil
}
