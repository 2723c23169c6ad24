package virtiotest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"goemu/hw/qdev/qtest"
	"goemu/internal/memory"
)

// MigrateQEMU makes QEMU write its state and returns the section with the name.
func MigrateQEMU(t testing.TB, socket, section string) []byte {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	in := bufio.NewReader(c)
	call := func(cmd string) (reply map[string]any) {
		fmt.Fprintln(c, cmd)
		for {
			line, err := in.ReadBytes('\n')
			if err != nil {
				t.Fatal(err)
			}
			reply = nil
			if err := json.Unmarshal(line, &reply); err != nil {
				t.Fatal(err)
			}
			if reply["return"] != nil {
				return reply["return"].(map[string]any)
			}
			if reply["error"] != nil {
				t.Fatalf("%s: %v", cmd, reply["error"])
			}
		}
	}
	file := filepath.Join(filepath.Dir(socket), "stream")
	call(`{"execute":"qmp_capabilities"}`)
	call(`{"execute":"migrate","arguments":{"uri":"exec:cat > ` + file + `"}}`)
	for call(`{"execute":"query-migrate"}`)["status"] != "completed" {
		time.Sleep(10 * time.Millisecond)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Section: type 4, be32 number, length and name, be32 instance, be32 version, contents; then 0x7e, be32 number.
	at := bytes.Index(b, append([]byte{uint8(len(section))}, section...))
	if at < 5 {
		t.Fatalf("no section %s", section)
	}
	number := b[at-4 : at]
	b = b[at+1+len(section)+8:]
	end := bytes.Index(b, append([]byte{0x7e}, number...))
	if end < 0 {
		t.Fatal("no end of the section")
	}
	return b[:end]
}

// DriveQEMU lets a driver loose on the function of a QEMU under qtest. drive gets a view of it that passes all accesses on, and a
// function that writes to the legacy BAR.
func DriveQEMU(t testing.TB, q *qtest.QEMU, devfn uint8, drive func(f *Function, legacy func(off uint64, size int, v uint64))) {
	t.Helper()
	rec := NewMachine(t)
	f := rec.Map(devfn) // gives the addresses; nothing is there
	q.SetConfig(devfn, 0x10, 4, uint32(f.Legacy))
	q.SetConfig(devfn, 0x14, 4, uint32(f.MSIX))
	q.SetConfig(devfn, 0x20, 4, uint32(f.Modern))
	q.SetConfig(devfn, 0x24, 4, 0)
	q.SetConfig(devfn, 4, 2, 7)
	for _, at := range []uint64{f.Modern, f.MSIX} {
		rec.Mem.Root().Add(memory.NewIO("mirror", 0x4000, &relay{q, at}), at, 5)
	}
	rec.Mirror = q
	drive(f, func(port uint64, size int, v uint64) { q.Out(uint16(f.Legacy+port), size, uint32(v)) })
}

// relay passes accesses on to QEMU.
type relay struct {
	q  *qtest.QEMU
	at uint64
}

// Read implements memory.Ops.
func (r *relay) Read(off uint64, size int) uint64 { return r.q.Load(r.at+off, size) }

// Write implements memory.Ops.
func (r *relay) Write(off uint64, size int, v uint64) { r.q.Store(r.at+off, size, v) }
