package vmstatetest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"goemu/internal/testprog"
)

// Section is a section of a stream that QEMU wrote.
type Section struct {
	Name     string
	Instance int
	Version  int
	Data     []byte
	Desc     *Desc
}

// Desc is QEMU's own description of what a section holds.
type Desc struct {
	Name     string      `json:"name"`
	VMSDName string      `json:"vmsd_name"`
	Instance int         `json:"instance_id"`
	Version  int         `json:"version"`
	Fields   []DescField `json:"fields"`
	Subs     []*Desc     `json:"subsections"`
}

// DescField is one field of a Desc. Index is given where the elements of an array are listed one by one.
type DescField struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Size   int    `json:"size"`
	Len    int    `json:"array_len"`
	Index  *int   `json:"index"`
	Struct *Desc  `json:"struct"`
}

// Bytes of a stream (migration/savevm.h's numbers).
const (
	sectionFull = 0x04
	footer      = 0x7e
)

// Settle is the time after which a program that has ended finds the timer's interrupt pending.
const Settle = 300 * time.Millisecond

// Migrate starts QEMU with args, lets it run until all its CPUs have halted, stops it, migrates it to a file and returns the sections with a description
// in their order. The test is skipped where QEMU is missing.
func Migrate(t testing.TB, args ...string) []Section {
	t.Helper()
	path := testprog.QEMU(t)
	file := filepath.Join(t.TempDir(), "stream")
	cmd := exec.Command(path, append([]string{"-display", "none", "-nodefaults", "-qmp", "stdio"}, args...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	q := &qmp{t, in, bufio.NewReader(out)}
	q.read()
	q.command("qmp_capabilities", "")
	info := `,"arguments":{"command-line":"info registers -a"}`
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		r := q.command("human-monitor-command", info)
		if bytes.Count(r, []byte("HLT=")) == bytes.Count(r, []byte("HLT=1")) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the program does not end: %s", r)
		}
	}
	time.Sleep(Settle)
	q.command("stop", "")
	q.command("migrate", fmt.Sprintf(`,"arguments":{"uri":"exec:cat >%s"}`, file))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		r := q.command("query-migrate", "")
		if bytes.Contains(r, []byte(`"completed"`)) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no end of the migration: %s", r)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type qmp struct {
	t   testing.TB
	in  io.Writer
	out *bufio.Reader
}

func (q *qmp) read() []byte {
	line, err := q.out.ReadBytes('\n')
	if err != nil {
		q.t.Fatal("QMP: ", err)
	}
	return line
}

func (q *qmp) command(name, args string) []byte {
	fmt.Fprintf(q.in, "{\"execute\":%q%s}\n", name, args)
	for {
		line := q.read()
		if bytes.Contains(line, []byte(`"error"`)) {
			q.t.Fatalf("QMP %s: %s", name, line)
		}
		if !bytes.HasPrefix(line, []byte(`{"timestamp"`)) && !bytes.Contains(line, []byte(`"event"`)) {
			return line
		}
	}
}

// parse finds the described sections: by the description at the end, and by their headers, as RAM's own sections have no length.
func parse(b []byte) ([]Section, error) {
	at := bytes.LastIndex(b, []byte(`{"configuration"`))
	if at < 0 {
		at = bytes.LastIndex(b, []byte(`{"page_size"`))
	}
	if at < 0 {
		return nil, fmt.Errorf("the stream has no description")
	}
	var all struct {
		Devices []*Desc `json:"devices"`
	}
	if err := json.NewDecoder(bytes.NewReader(b[at:])).Decode(&all); err != nil {
		return nil, err
	}
	var out []Section
	for _, d := range all.Devices {
		if d.VMSDName == "" {
			continue
		}
		s := Section{Name: d.Name, Instance: d.Instance, Version: d.Version, Desc: d}
		head := append([]byte{uint8(len(d.Name))}, d.Name...)
		head = binary.BigEndian.AppendUint32(head, uint32(d.Instance))
		head = binary.BigEndian.AppendUint32(head, uint32(d.Version))
		size := d.bytes()
		for from := 0; s.Data == nil; {
			i := bytes.Index(b[from:], head)
			if i < 0 {
				return nil, fmt.Errorf("section %s,%d is not in the stream", d.Name, d.Instance)
			}
			i += from
			end := i + len(head) + size
			if i >= 5 && b[i-5] == sectionFull && end+5 <= len(b) && b[end] == footer && bytes.Equal(b[end+1:end+5], b[i-4:i]) {
				s.Data = b[i+len(head) : end]
			}
			from = i + 1
		}
		out = append(out, s)
	}
	return out, nil
}

// bytes is the size of what d describes.
func (d *Desc) bytes() int {
	n := 0
	for _, f := range d.Fields {
		n += f.Size * max(f.Len, 1)
	}
	for _, s := range d.Subs {
		n += 1 + 1 + len(s.VMSDName) + 4 + s.bytes()
	}
	return n
}
