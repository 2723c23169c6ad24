package getopt

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var long = []Long{{"help", false, 'h'}, {"output", true, 256}, {"object", true, 257}, {"force-share", false, 'U'}}

func TestParse(t *testing.T) {
	for _, c := range []struct{ args, short, want, operands, messages string }{
		{"-f raw x", ":hf:U", "f=raw", "x", ""},
		{"x -fraw y -U", ":hf:U", "f=raw U", "x y", ""},
		{"-Uf raw", ":hf:U", "U f=raw", "", ""},
		{"x -- -U", ":hf:U", "", "x -U", ""},
		{"-- x -U", ":hf:U", "", "x -U", ""},
		{"x -U -- y -f", ":hf:U", "U", "x y -f", ""},
		{"--out json x", ":h", "256=json", "x", ""},
		{"--output=json x --force", ":h", "256=json U", "x", ""},
		{"--o json", "h", "?", "json", "prog: option '--o' is ambiguous; possibilities: '--output' '--object'\n"},
		{"--nosuch=1 x", ":h", "?(--nosuch=1)", "x", ""},
		{"--nosuch=1 x", "h", "?", "x", "prog: unrecognized option '--nosuch'\n"},
		{"x --output", ":h", ":(--output)", "x", ""},
		{"x -f", ":hf:", ":(-f)", "x", ""},
		{"x -f", "hf:", "?", "x", "prog: option requires an argument -- 'f'\n"},
		{"-z x", "h", "?", "x", "prog: invalid option -- 'z'\n"},
		{"--help=1", "h", "?", "", "prog: option '--help' doesn't allow an argument\n"},
		{"-h info -x", "+:h", "h", "info -x", ""},
		{"x -h -- y -U", "-:hU", "\x01=x h", "y -U", ""},
		{"a b -h c -U d", ":hU", "h U", "a b c d", ""},
		{"- -h", ":h", "h", "-", ""},
	} {
		t.Run(c.args, func(t *testing.T) {
			var b strings.Builder
			p := New(append([]string{"prog"}, strings.Fields(c.args)...), c.short, long, &b)
			var got []string
			for v := p.Next(); v != End; v = p.Next() {
				s := fmt.Sprint(v)
				if v < 256 {
					s = string(rune(v))
				}
				if p.Value != "" {
					s += "=" + p.Value
				}
				if (v == Unknown || v == Missing) && p.quiet {
					s += "(" + p.Last() + ")"
				}
				got = append(got, s)
			}
			require.Equal(t, c.want, strings.Join(got, " "))
			require.Equal(t, c.operands, strings.Join(p.Operands(), " "))
			require.Equal(t, c.messages, b.String())
		})
	}
}
