package qapi

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// feed returns what a stream makes of text, one line per value or mistake.
func feed(text string, piece int) []string {
	var s Stream
	var out []string
	emit := func(v any, err error) {
		if err != nil {
			out = append(out, "! "+err.Error())
			return
		}
		out = append(out, string(AppendJSON(nil, v)))
	}
	for len(text) > 0 {
		n := min(piece, len(text))
		s.Feed([]byte(text[:n]), emit)
		text = text[n:]
	}
	s.Flush(emit)
	return out
}

func TestStream(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{`{"a": 1}{'b': [true, null, "x"]}`, []string{`{"a": 1}`, `{"b": [true, null, "x"]}`}},
		{`12 -3 18446744073709551615 99999999999999999999 1.5e3 0.1`, []string{"12", "-3", "18446744073709551615", "1e+20", "1500", "0.10000000000000001"}},
		{`"\u00e9\n\"\/\ud83d\ude00"`, []string{`"\u00E9\n\"/\uD83D\uDE00"`}},
		{`{ "execute" : foo }`, []string{"! JSON parse error, invalid keyword 'foo'"}},
		{`{ "a" }`, []string{"! JSON parse error, missing : in object pair"}},
		{`{ "a": 1, "a": 2 }`, []string{"! JSON parse error, duplicate key"}},
		{`{ 1: 2 }`, []string{"! JSON parse error, key is not a string in object"}},
		{`{ "a": 1 "b": 2 }`, []string{"! JSON parse error, expected separator in dict"}},
		{`[1 2]`, []string{"! JSON parse error, expected separator in list"}},
		{`[,]`, []string{"! JSON parse error, expecting value"}},
		{`}`, []string{"! JSON parse error, expecting value"}},
		{`{ "a": "\x" }`, []string{"! JSON parse error, invalid escape sequence in string"}},
		{`"\ud800"`, []string{`! JSON parse error, \ud800 is not a valid Unicode character`}},
		{"\"\xff\"", []string{"! JSON parse error, stray '\"\xff'"}},
		{`01`, []string{"! JSON parse error, stray '01'"}},
		{"@ {} ", []string{"! JSON parse error, stray '@'", "{}"}},
		{`{ "a": [`, []string{"! JSON parse error, premature EOI"}},
		{strings.Repeat("[", 1025), []string{"! JSON nesting depth limit exceeded"}},
	}
	for _, tt := range tests {
		for _, piece := range []int{1, 3, 1 << 20} {
			assert.Equal(t, tt.want, feed(tt.in, piece), "%q in pieces of %d", tt.in, piece)
		}
	}
}

func TestPretty(t *testing.T) {
	v, err := ParseJSON(`{"a": [1, {}, []], "b": "x,{y\"}"}`)
	require.NoError(t, err)
	assert.Equal(t, "{\n    \"a\": [\n        1,\n        {\n        },\n        [\n        ]\n    ],\n    \"b\": \"x,{y\\\"}\"\n}",
		string(Pretty(AppendJSON(nil, v))))
}

func TestDecode(t *testing.T) {
	tests := []struct{ typ, in, want string }{
		{"SchemaInfo", `{"name": "x", "meta-type": "array", "element-type": "int"}`, ""},
		{"SchemaInfo", `{"name": "x", "meta-type": "array"}`, "Parameter 'element-type' is missing"},
		{"SchemaInfo", `{"name": "x", "meta-type": "odd"}`, "Parameter 'meta-type' does not accept value 'odd'"},
		{"SchemaInfo", `{"name": "x", "meta-type": "array", "element-type": "int", "tag": "t"}`, "Parameter 'tag' is unexpected"},
		{"SchemaInfo", `{"name": 1, "meta-type": "array"}`, "Invalid parameter type for 'name', expected: string"},
		{"SchemaInfo", `{"name": "x", "meta-type": "object", "members": [{"name": "m", "type": "str"}, {"name": "m"}]}`, "Parameter 'members[1].type' is missing"},
		{"SchemaInfo", `{"name": "x", "meta-type": "object", "members": {}}`, "Invalid parameter type for 'members', expected: array"},
		{"SchemaInfo", `{"name": "x", "meta-type": "object", "members": [1]}`, "Invalid parameter type for 'members[0]', expected: object"},
		{"VersionTriple", `{"major": 1.5, "minor": 2, "micro": 3}`, "Invalid parameter type for 'major', expected: integer"},
	}
	for _, tt := range tests {
		v, err := ParseJSON(tt.in)
		require.NoError(t, err)
		got := ""
		if err := Decode(tt.typ, v, nil); err != nil {
			got = err.Error()
		}
		assert.Equal(t, tt.want, got, tt.in)
	}
}

// TestRoundTrip reads unions and optional members into Go and writes them again.
func TestRoundTrip(t *testing.T) {
	for _, in := range []string{
		`{"name": "x", "meta-type": "array", "element-type": "int"}`,
		`{"name": "x", "meta-type": "command", "features": ["f"], "arg-type": "a", "ret-type": "r", "allow-oob": true}`,
		`{"name": "x", "meta-type": "object", "members": [], "tag": "t", "variants": [{"case": "c", "type": "0"}]}`,
	} {
		v, err := ParseJSON(in)
		require.NoError(t, err)
		var info SchemaInfo
		require.NoError(t, Decode("SchemaInfo", v, &info))
		assert.Equal(t, string(AppendJSON(nil, v)), string(AppendJSON(nil, &info)))
	}
}

func TestRawObjectsKeepOrder(t *testing.T) {
	o := NewObject("z", int64(1), "a", int64(2))
	for i := range 20 {
		o.Set(strings.Repeat("k", i+1), int64(i))
	}
	o.Delete("a")
	assert.Equal(t, []string{"z", "k", "kk"}, o.Names()[:3])
	v, ok := o.Get(strings.Repeat("k", 20))
	assert.True(t, ok)
	assert.Equal(t, int64(19), v)
	assert.False(t, o.Has("a"))
}

func FuzzStream(f *testing.F) {
	f.Add(`{"execute": "query-status", "id": [1, 2.5e3, "\u00e9", null]}`)
	f.Fuzz(func(t *testing.T, text string) {
		whole := feed(text, len(text)+1)
		if assert.Equal(t, whole, feed(text, 1)); len(text) > 1<<16 {
			t.Skip()
		}
		for _, line := range whole {
			if !strings.HasPrefix(line, "! ") {
				assert.Equal(t, []string{line}, feed(line, 7))
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add("SchemaInfo", `{"name": "x", "meta-type": "array", "element-type": "int"}`)
	f.Fuzz(func(t *testing.T, name, text string) {
		v, err := ParseJSON(text)
		if err != nil || FindType(name) == nil {
			return
		}
		_ = Decode(name, v, nil)
	})
}
