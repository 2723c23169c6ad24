package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// movedGuest is a kernel that fills half a GiB of memory with numbers, says so on the serial port, and then stands still or, with RATE,
// writes to one MiB of pages every 10 ms by the interval timer, over and over the same 256 MiB.
const movedGuest = `bits 32
org 0x100000
dd 0x1badb002, 0x10000, -(0x1badb002 + 0x10000), 0x100000, 0x100000, 0, 0, start
start:
 mov esp, 0x90000
 mov edi, 0x1000000
 mov ecx, 512 * 0x100000 / 4
 mov eax, 0x9e3779b9
.fill:
 mov [edi], eax
 add edi, 4
 add eax, 0x61c88647
 dec ecx
 jnz .fill
 mov dx, 0x3f8
 mov al, 'R'
 out dx, al
%ifndef RATE
.stop: cli
 hlt
 jmp .stop
%else
 mov al, 0x34
 out 0x43, al
 xor eax, eax
 out 0x40, al
 out 0x40, al
 call ticks
 mov ebx, eax
 xor esi, esi
.slice:
 mov ecx, 256
.page:
 inc dword [0x1000000 + esi]
 add esi, 4096
 and esi, 256 * 0x100000 - 1
 dec ecx
 jnz .page
.wait:
 call ticks
 mov edx, ebx
 sub edx, eax
 and edx, 0xffff
 cmp edx, 11932
 jb .wait
 sub ebx, 11932
 and ebx, 0xffff
 jmp .slice
ticks: xor eax, eax
 out 0x43, al
 in al, 0x40
 mov ah, al
 in al, 0x40
 xchg al, ah
 ret
%endif
`

const migrationGroup = "migration"

// migrationWorks are the names of the rows.
var migrationWorks = []string{"migrate-idle", "down-idle", "migrate-dirty", "down-dirty", "savevm", "loadvm"}

// moves measures migrations of a 2 GiB guest over a unix socket, and snapshots of a 1 GiB guest: all of it and, of migrations, how long
// the guest stands still.
func moves(o options, s *setup, pair [2]*emulator) (rows []row, err error) {
	for _, w := range []struct {
		name, define string
		run          func(e *emulator, dir, kernel string) ([2]float64, error)
		second       string
	}{
		{"migrate-idle", "-DIDLE", migrateOnce, "down-idle"},
		{"migrate-dirty", "-DRATE", migrateOnce, "down-dirty"},
		{"savevm", "-DIDLE", snapshotOnce, "loadvm"},
	} {
		if !o.selected(w.name, migrationGroup) && !o.selected(w.second, migrationGroup) {
			continue
		}
		src, kernel := filepath.Join(s.dir, "moved.asm"), filepath.Join(s.dir, "moved")
		if err := os.WriteFile(src, []byte(movedGuest), 0o600); err != nil {
			return nil, err
		}
		if err := command("nasm", "-f", "bin", w.define, "-o", kernel, src); err != nil {
			return nil, err
		}
		r, err := alternate(max(o.runs, 1), pair, func(e *emulator) ([]result, error) {
			t, err := w.run(e, s.dir, kernel)
			return append(one(w.name, migrationGroup, t[0]), one(w.second, migrationGroup, t[1])...), err
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// machine is a program that is driven over QMP.
type machine struct {
	cmd *exec.Cmd
	c   net.Conn
	in  *bufio.Reader

	events []string // that came before a reply
}

func launch(e *emulator, dir, name string, args ...string) (*machine, error) {
	socket := filepath.Join(dir, name+".qmp")
	a := append(append([]string{}, e.argv[1:]...), "-nodefaults", "-display", "none", "-qmp", "unix:"+socket+",server=on,wait=off")
	return control(exec.Command(e.argv[0], append(a, args...)...), socket)
}

// control starts a program that serves QMP on a socket.
func control(cmd *exec.Cmd, socket string) (*machine, error) {
	m := &machine{cmd: cmd}
	m.cmd.Stderr = os.Stderr
	_ = os.Remove(socket)
	err := m.cmd.Start()
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if m.c, err = net.Dial("unix", socket); err == nil {
			m.in = bufio.NewReaderSize(m.c, 1<<16)
			if _, err = m.ask(`{"execute": "qmp_capabilities"}`); err == nil {
				return m, nil
			}
			break
		}
	}
	m.close()
	return nil, err
}

func (m *machine) close() {
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
	if m.c != nil {
		_ = m.c.Close()
	}
}

// ask sends a command and returns what it returns.
func (m *machine) ask(text string) (json.RawMessage, error) {
	if _, err := m.c.Write([]byte(text)); err != nil {
		return nil, err
	}
	for {
		line, err := m.in.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		var r struct{ Return, Error json.RawMessage }
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, err
		}
		if r.Error != nil {
			return nil, fmt.Errorf("%s: %s", text, r.Error)
		}
		if r.Return != nil {
			return r.Return, nil
		}
		m.events = append(m.events, string(line))
	}
}

// await waits for an event whose text has what is given, if it did not come since the last one that was waited for.
func (m *machine) await(event string) error {
	for {
		for i, e := range m.events {
			if strings.Contains(e, event) {
				m.events = m.events[i+1:]
				return nil
			}
		}
		line, err := m.in.ReadString('\n')
		if err != nil {
			return err
		}
		m.events = []string{line}
	}
}

// filled waits until the guest has said that its memory is full.
func filled(serial string) error {
	for end := time.Now().Add(bootLimit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if b, _ := os.ReadFile(serial); strings.HasPrefix(string(b), "R") {
			return nil
		}
	}
	return errors.New("the guest does not fill its memory")
}

// migrateOnce migrates a guest and returns the whole time and the downtime.
func migrateOnce(e *emulator, dir, kernel string) (t [2]float64, err error) {
	serial, channel := filepath.Join(dir, "serial"), filepath.Join(dir, "migration")
	_ = os.Remove(serial)
	args := []string{"-M", "pc", "-m", "2G", "-kernel", kernel, "-serial", "file:" + serial}
	src, err := launch(e, dir, "src", args...)
	if err != nil {
		return t, err
	}
	defer src.close()
	if err := filled(serial); err != nil {
		return t, err
	}
	args[len(args)-1] = "null"
	dst, err := launch(e, dir, "dst", append(args, "-incoming", "unix:"+channel)...)
	if err != nil {
		return t, err
	}
	defer dst.close()
	for _, c := range []string{`{"execute": "migrate-set-parameters", "arguments": {"max-bandwidth": 100000000000}}`,
		`{"execute": "migrate", "arguments": {"uri": "unix:` + channel + `"}}`} {
		if _, err := src.ask(c); err != nil {
			return t, err
		}
	}
	for end := time.Now().Add(bootLimit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		r, err := src.ask(`{"execute": "query-migrate"}`)
		if err != nil {
			return t, err
		}
		var i struct {
			Status   string
			Total    float64 `json:"total-time"`
			Downtime float64
		}
		if err := json.Unmarshal(r, &i); err != nil {
			return t, err
		}
		switch i.Status {
		case "failed":
			return t, fmt.Errorf("%s: the migration has failed: %s", e.name, r)
		case "completed":
			const least = 0.5 // of what is given in whole milliseconds
			return [2]float64{max(i.Total, least) * 1e6, max(i.Downtime, least) * 1e6}, nil
		}
	}
	return t, fmt.Errorf("%s: the migration does not end", e.name)
}

// snapshotOnce saves a guest into an image and loads it.
func snapshotOnce(e *emulator, dir, kernel string) (t [2]float64, err error) {
	serial, image := filepath.Join(dir, "serial"), filepath.Join(dir, "state.qcow2")
	_ = os.Remove(serial)
	if err := command("qemu-img", "create", "-q", "-f", "qcow2", image, "64M"); err != nil {
		return t, err
	}
	defer os.Remove(image)
	m, err := launch(e, dir, "src", "-M", "pc", "-m", "1G", "-kernel", kernel, "-serial", "file:"+serial, "-drive", "if=none,id=d,format=qcow2,file="+image)
	if err != nil {
		return t, err
	}
	defer m.close()
	if err := filled(serial); err != nil {
		return t, err
	}
	for i, line := range []string{"savevm s", "loadvm s"} {
		begin := time.Now()
		r, err := m.ask(`{"execute": "human-monitor-command", "arguments": {"command-line": "` + line + `"}}`)
		if err != nil || string(r) != `""` {
			return t, fmt.Errorf("%s: %s: %s %w", e.name, line, r, err)
		}
		t[i] = float64(time.Since(begin))
	}
	return t, nil
}
