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

// parseOpts splits "a,b=c,d=e,,f" into pairs. A doubled comma stands for one. The first element without "=" takes the implied key;
// a later one without "=" is a switch: key=on, or nokey=off.
func parseOpts(s, implied string) []config.Pair {
	var out []config.Pair
	for first := true; s != "" || first; first = false {
		var elem string
		elem, s, _ = config.CutElement(s)
		key, val, hasVal := strings.Cut(elem, "=")
		switch {
		case hasVal:
		case first && implied != "":
			key, val = implied, elem
		case elem == "":
			continue
		case elem == "help" || elem == "?":
			val = "on"
		case strings.HasPrefix(elem, "no") && len(elem) > 2:
			key, val = elem[2:], "off"
		default:
			val = "on"
		}
		out = append(out, config.Pair{Key: key, Value: val})
	}
	return out
}

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
	o.Pairs = parseOpts(value, implied)
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
