package qapi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseKeyval(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", `{}`},
		{"file,filename=a,,b", `{"driver": "file", "filename": "a,b"}`},
		{"a.b=1,a.c.0=x,a.c.1=y,driver=qcow2", `{"a": {"b": "1", "c": ["x", "y"]}, "driver": "qcow2"}`},
		{"a=1,a=2", `{"a": "2"}`},
		{"a=", `{"a": ""}`},
		{"a=1,b", "Expected '=' after parameter 'b'"},
		{"=1", "Invalid parameter ''"},
		{"a..b=1", "Invalid parameter 'a..b'"},
		{"0=1", "Invalid parameter '0'"},
		{"a=1,a.b=2", "Parameters 'a.*' used inconsistently"},
		{"a.b=1,a=2", "Parameters 'a.*' used inconsistently"},
		{"a.0=1,a.b=2", "Parameters 'a.*' used inconsistently"},
		{"a.0=1,a.2=2", "Parameter 'a.1' missing"},
		{"a.99999999999999999999=1", "Parameter 'a.0' missing"},
		{"help", "Help is not available for this option"},
		{"a=1,?", "Help is not available for this option"},
	} {
		o, err := ParseKeyval(c.text, "driver")
		if err != nil {
			require.Equal(t, c.want, err.Error(), c.text)
			continue
		}
		require.Equal(t, c.want, string(AppendJSON(nil, o)), c.text)
	}
}

func TestSizes(t *testing.T) {
	for s, want := range map[string]uint64{"0": 0, "10": 10, "010": 10, "0x10": 16, "4k": 4096, "1.5G": 3 << 29, "8E": 8 << 60, "12B": 12, "0.5k": 512} {
		n, ok := parseSize(s)
		require.True(t, ok, s)
		require.Equal(t, want, n, s)
	}
	for _, s := range []string{"", "k", "-1", "1.5", "16E", "1e3", "1x", "99999999999999999999", "0x", "1_0k"} {
		_, ok := parseSize(s)
		require.False(t, ok, s)
	}
}

func TestFromKeyval(t *testing.T) {
	types()["KeyvalTest"] = &Type{Name: "KeyvalTest", Kind: KindObject, Members: []Member{
		{Name: "s", Type: "str"}, {Name: "i", Type: "int", Optional: true}, {Name: "u", Type: "uint32", Optional: true}, {Name: "b", Type: "bool", Optional: true},
		{Name: "z", Type: "size", Optional: true}, {Name: "l", Type: "[]int", Optional: true}, {Name: "o", Type: "KeyvalTest", Optional: true},
	}}
	defer delete(types(), "KeyvalTest")
	for text, want := range map[string]string{
		"s=1,i=-0x10,u=7,b=on,z=4k,l.0=1,l.1=2,o.s=x,o.b=off": `{"i": -16, "s": "1", "o": {"s": "x", "b": false}, "u": 7, "b": true, "z": 4096, "l": [1, 2]}`,
		"i=x":                "Parameter 's' is missing",
		"s=1,i=x":            "Parameter 'i' expects integer",
		"s=1,o.s=,o.b=maybe": "Parameter 'o.b' expects 'on' or 'off'",
		"s=1,l.0=1,l.1=a":    "Parameter 'l[1]' expects integer",
		"s=1,z=10q":          "Parameter 'z' expects size",
		"s.a=1":              "Parameters 's.*' are unexpected",
		"s=1,l=2":            "Invalid parameter type for 'l', expected: array",
		"s=1,x=2":            "Parameter 'x' is unexpected",
		"s=1,u=-1":           "Parameter 'u' expects uint32_t",
	} {
		o, err := ParseKeyval(text, "")
		require.NoError(t, err)
		o = FromKeyval("KeyvalTest", o)
		if err := Decode("KeyvalTest", o, nil); err != nil {
			require.Equal(t, want, err.Error(), text)
			continue
		}
		require.Equal(t, want, string(AppendJSON(nil, o)), text)
	}
}
