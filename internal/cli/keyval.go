package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"goemu/internal/config"
	"goemu/qapi"
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

// parseJSON parses one JSON object as QEMU does, whose strings may be in single quotation marks, and keeps the order of its members.
func parseJSON(s string) ([]config.Pair, error) {
	v, err := qapi.ParseJSON(s)
	if err != nil {
		return nil, err
	}
	o, ok := v.(*qapi.Object)
	if !ok {
		return nil, errors.New("Invalid parameter type, expected: object")
	}
	var out []config.Pair
	for key, v := range o.All() {
		out = append(out, config.Pair{Key: key, Value: member(v)})
	}
	return out, nil
}

// member is a value of JSON as config.Pair has it.
func member(v any) any {
	switch v := v.(type) {
	case *qapi.Object:
		m := map[string]any{}
		for key, v := range v.All() {
			m[key] = member(v)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = member(v[i])
		}
		return list
	case int64, uint64:
		return json.Number(fmt.Sprint(v))
	case float64:
		return json.Number(strconv.FormatFloat(v, 'g', -1, 64))
	}
	return v
}
