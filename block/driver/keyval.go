package driver

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"goemu/internal/config"
)

// Dict is a flat set of options: nested members have names with dots, as in "file.filename".
type Dict map[string]string

// ParseKeyval splits "key=value,key=value"; a comma inside a value is written twice. A lone word means word=on.
func ParseKeyval(text string) (Dict, error) {
	d := Dict{}
	for len(text) > 0 {
		var item string
		item, text, _ = config.CutElement(text)
		key, value, ok := strings.Cut(item, "=")
		if !ok {
			if value = "on"; strings.HasPrefix(key, "no") && len(key) > 2 {
				key, value = key[2:], "off"
			}
		}
		if key == "" {
			return nil, fmt.Errorf("Invalid parameter '%s'", key)
		}
		d[key] = value
	}
	return d, nil
}

// ParseJSON flattens a JSON object.
func ParseJSON(text string) (Dict, error) {
	var v map[string]any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		if strings.Contains(err.Error(), "unexpected EOF") {
			return nil, errors.New("JSON parse error, premature EOI")
		}
		return nil, fmt.Errorf("JSON parse error, %w", err)
	}
	d := Dict{}
	if err := flatten(d, "", v); err != nil {
		return nil, err
	}
	return d, nil
}

// flatten stores the members of v under prefix. Switches become on and off, so that both syntaxes look alike from here on.
func flatten(d Dict, prefix string, v map[string]any) error {
	for key, val := range v {
		switch val := val.(type) {
		case map[string]any:
			if err := flatten(d, prefix+key+".", val); err != nil {
				return err
			}
		case string:
			d[prefix+key] = val
		case bool:
			d[prefix+key] = map[bool]string{true: "on", false: "off"}[val]
		case json.Number:
			d[prefix+key] = val.String()
		default:
			return fmt.Errorf("Invalid parameter type for '%s%s', expected: string", prefix, key)
		}
	}
	return nil
}

// parseOptions reads either syntax.
func parseOptions(text string) (Dict, error) {
	if strings.HasPrefix(text, "{") {
		return ParseJSON(text)
	}
	return ParseKeyval(text)
}

// take removes an option and returns its value.
func (d Dict) take(key string) (string, bool) {
	v, ok := d[key]
	delete(d, key)
	return v, ok
}

// takeOr is take with a default.
func (d Dict) takeOr(key, def string) string {
	if v, ok := d.take(key); ok {
		return v
	}
	return def
}

// takeBool is take for switches.
func (d Dict) takeBool(key string, def bool) (bool, error) {
	v, ok := d.take(key)
	switch {
	case !ok:
		return def, nil
	case v == "on" || v == "yes" || v == "true" || v == "y":
		return true, nil
	case v == "off" || v == "no" || v == "false" || v == "n":
		return false, nil
	}
	return false, fmt.Errorf("Parameter '%s' expects 'on' or 'off'", key)
}

// sizeUnits are the suffixes of sizes, as powers of two.
const sizeUnits = "bkmgtpe"

// takeSize is take for sizes with an optional unit.
func (d Dict) takeSize(key string) (int64, error) {
	v, ok := d.take(key)
	if !ok || v == "" {
		return 0, nil
	}
	digits, shift := v, 0
	if i := strings.IndexByte(sizeUnits, v[len(v)-1]|0x20); i >= 0 {
		digits, shift = v[:len(v)-1], 10*i
	}
	n, err := strconv.ParseInt(digits, 0, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("Parameter '%s' expects a non-negative number below 2^64\n"+
			"Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.", key)
	}
	return n << shift, nil
}
