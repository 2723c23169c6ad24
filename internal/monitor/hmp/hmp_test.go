package hmp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// newShell has commands that print their arguments.
func newShell() *Shell {
	show := func(m *Monitor, a *Args) error {
		var names []string
		for name := range a.values {
			names = append(names, name)
		}
		for _, name := range sortedStrings(names) {
			m.Printf("%s=%v ", name, a.values[name])
		}
		m.Printf("\n")
		return nil
	}
	s := NewShell([]*Command{
		{Name: "words", Args: "a:s,b:s?,c:S?", Params: "a [b [c]]", Help: "words", Run: show},
		{Name: "numbers|n", Args: "a:i,b:l?,port:i.", Help: "numbers", Run: show},
		{Name: "size", Args: "a:o", Help: "a size", Run: show},
		{Name: "mib", Args: "a:M", Help: "MiB", Run: show},
		{Name: "seconds", Args: "a:T", Help: "seconds", Run: show},
		{Name: "switches", Args: "f:-f,g:-gs,on:b,file:F?", Help: "switches", Run: show},
		{Name: "memory", Args: "fmt:/,addr:l", Help: "memory", Run: func(m *Monitor, a *Args) error {
			count, format, size := a.Format()
			m.Printf("%d %c %d %#x\n", count, format, size, a.Int("addr"))
			return nil
		}},
		{Name: "disk", Args: "device:B", Help: "a disk", Run: show},
		{Name: "fail", Help: "fails", Run: func(*Monitor, *Args) error { return errors.New("it did") }},
	}, []*Command{{Name: "this", Help: "show this", Run: show}, {Name: "that", Help: "show that", Run: show}})
	s.Context = context.Background()
	s.Register = func(cpu int, name string) (uint64, bool) { return uint64(0x1000 + cpu), name == "rip" }
	s.BlockDevices = func() []string { return []string{"drive0", "drive1"} }
	return s
}

func sortedStrings(s []string) []string {
	for i := range s {
		for j := range i {
			if s[i] < s[j] {
				s[i], s[j] = s[j], s[i]
			}
		}
	}
	return s
}

func TestLines(t *testing.T) {
	s := newShell()
	for _, c := range []struct{ line, want string }{
		{"", ""}, {"   ", ""},
		{"words x", "a=x \n"}, {`words "a \"b\n" c  d e `, "a=a \"b\n b=c c=d e  \n"},
		{"words", "words: string expected\nTry \"help words\" for more information\n"},
		{"numbers 1+2*3", "a=7 \n"}, {"n 0x10 (1<2", "')' expected\nTry \"help n\" for more information\n"},
		{"n 0x100000000", "'numbers|n' has failed: integer is for 32-bit values\nTry \"help n\" for more information\n"},
		{"n 1 $rip .5", "a=1 b=4096 port=5 \n"}, {"n $nope", "unknown register\nTry \"help n\" for more information\n"},
		{"n 7/0", "division by zero\nTry \"help n\" for more information\n"}, {"n 'a'", "a=97 \n"}, {"n ~0&0xf", "a=15 \n"},
		{"n -9223372036854775808/-1", "'numbers|n' has failed: integer is for 32-bit values\nTry \"help n\" for more information\n"},
		{"size 3", "a=3145728 \n"}, {"size 3k", "a=3072 \n"}, {"size 1.5G", "a=1610612736 \n"}, {"size x", "invalid size\nTry \"help size\" for more information\n"},
		{"mib 3", "a=3145728 \n"}, {"mib 0-3", "enter a positive value\nTry \"help mib\" for more information\n"},
		{"seconds 5ms", "a=0.005 \n"}, {"seconds x", "Number expected\nTry \"help seconds\" for more information\n"},
		{"switches -f on", "f=true on=true \n"}, {"switches -g word off f", "file=f g=word on=false \n"},
		{"switches -x on", "switches: unsupported option -x\nTry \"help switches\" for more information\n"},
		{"switches maybe", "Expected 'on' or 'off'\nTry \"help switches\" for more information\n"},
		{"memory/4gx 0x10", "4 x 8 0x10\n"}, {"memory /2i 1", "2 i -1 0x1\n"}, {"memory/q 1", "invalid char in format: 'q'\nTry \"help memory\" for more information\n"},
		{"fail", "Error: it did\n"}, {"fail 1", "fail: extraneous characters at the end of line\nTry \"help fail\" for more information\n"},
		{"nosuch x", "unknown command: 'nosuch'\n"}, {"info nosuch", "unknown command: 'info nosuch'\n"}, {"info this", "\n"},
		{"help fail", "fail  -- fails\n"}, {"help info that", "info that  -- show that\n"}, {"? words", "words a [b [c]] -- words\n"},
		{"help nosuch", "unknown command: 'nosuch'\n"}, {"p/x 255", "0xff\n"}, {"p/c 10", "'\\n'\n"},
	} {
		assert.Equal(t, strings.ReplaceAll(c.want, "\n", "\r\n"), s.Execute(t.Context(), c.line, 0), c.line)
	}
}

// screen is an editor on a screen that is a string.
func screen(s *Shell) (e *editor, out *strings.Builder, lines *[]string) {
	out, lines = new(strings.Builder), new([]string)
	m := s.newMonitor(out)
	e = &editor{prompt: "> ", entry: -1, print: func(s string) { out.WriteString(s) }, run: func(l string) { *lines = append(*lines, l) }, complete: m.complete}
	e.show()
	return e, out, lines
}

func (e *editor) keys(text string) {
	for i := range len(text) {
		e.key(text[i])
	}
}

func TestEditing(t *testing.T) {
	const left, right, up, down = "\033[D", "\033[C", "\033[A", "\033[B"
	for _, c := range []struct {
		keys string
		want []string
	}{
		{"abc\r", []string{"abc"}},
		{"abc" + left + left + "X\r", []string{"aXbc"}},
		{"abc\x01X\x05Y\r", []string{"XabcY"}},
		{"abc\x7f\x08d\r", []string{"ad"}},
		{"abc" + left + "\x04\r", []string{"ab"}},
		{"one two  \x17x\r", []string{"one x"}},
		{"one\rtwo\r" + up + up + "!\r", []string{"one", "two", "one!"}},
		{"one\rtwo\r" + up + up + down + down + "new\r", []string{"one", "two", "new"}},
		{"ab\033[1~X\033[4~Y\033[1~\033[3~\r", []string{"abY"}},
		{"ab\033OHX\033OFY" + right + "\r", []string{"XabY"}},
	} {
		e, _, lines := screen(newShell())
		e.keys(c.keys)
		assert.Equal(t, c.want, *lines, "%q", c.keys)
	}
}

func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	assert.NoError(t, os.MkdirAll(filepath.Join(dir, "directory"), 0o700))
	assert.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	for _, c := range []struct{ keys, want string }{
		{"wo\t", "words "}, {"info th\t", "info th"}, {"info thi\t", "info this "}, {"help fa\t", "help fail "},
		{"disk dr\t", "disk drive"}, {"disk drive1\t", "disk drive1 "}, {"nosuch x\t", "nosuch x"},
		{"switches on " + dir + "/f\t", "switches on " + dir + "/file "}, {"switches on " + dir + "/d\t", "switches on " + dir + "/directory/"},
	} {
		e, _, _ := screen(newShell())
		e.keys(c.keys)
		assert.Equal(t, c.want, string(e.buf), "%q", c.keys)
	}
	e, out, _ := screen(newShell())
	e.keys("disk d\t")
	assert.Contains(t, out.String(), fmt.Sprintf("\n%-10s%-10s\n> ", "drive0", "drive1"))
}

func FuzzLine(f *testing.F) {
	s := newShell()
	for _, line := range []string{"words \"a", "n ((1", "memory/4gx $rip", "switches -g", "size 1e", "info", "help \"x", "seconds 1e400ms"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		_ = s.Execute(t.Context(), line, 0)
		e, _, _ := screen(s)
		e.keys(strings.ReplaceAll(line, "\t", "")) // no look at the host's files
	})
}
