package boot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
	"goemu/tests/guest"
)

// floppySize is that of a disk of 1.44 MB.
const floppySize = 1440 << 10

// bootSector reads the second sector, writes it to the last one, both with the BIOS, prints what is in it to the serial port up to a zero, and ends the machine
// by writing 1 to port 0xf4. It prints E if something failed.
var bootSector = "31c08ed88ec0fc" + // xor ax,ax; mov ds,ax; mov es,ax; cld
	"b80102bb007eb9020030f6cd13721a" + // read: int 0x13, ax=0x0201, bx=0x7e00, cx=2, dh=0; jc fail
	"b80103b9124fb601cd13720e" + // write: int 0x13, ax=0x0301, cx=0x4f12 (track 79, sector 18), dh=1; jc fail
	"be007eac84c0740cbaf803eeebf5" + // mov si,0x7e00; lodsb; test al,al; jz done; mov dx,0x3f8; out dx,al; jmp
	"b045baf803ee" + // fail: mov al,'E'; mov dx,0x3f8; out dx,al
	"b001e6f4f4" // done: mov al,1; out 0xf4,al; hlt

// TestFloppyBIOS starts a machine from a floppy disk, which the BIOS reads and writes.
func TestFloppyBIOS(t *testing.T) {
	if testing.Short() {
		t.Skip("whole boots take seconds each")
	}
	if _, err := os.Stat("/usr/share/seabios/bios-256k.bin"); err != nil {
		t.Skip("ORACLE MISSING: no firmware from package seabios: ", err)
	}
	dir := t.TempDir()
	goemu, file := testprog.Goemu(t), filepath.Join(dir, "floppy.img")
	code, err := hex.DecodeString(bootSector)
	require.NoError(t, err)
	image := make([]byte, floppySize)
	copy(image, code)
	image[510], image[511] = 0x55, 0xaa
	copy(image[512:], "read from the floppy\n")
	for _, machine := range []string{"pc", "q35"} {
		t.Run(machine, func(t *testing.T) {
			require.NoError(t, os.WriteFile(file, image, 0o600))
			// Without -nographic the BIOS leaves the serial port alone.
			cmd := exec.CommandContext(t.Context(), goemu, "-M", machine, "-drive", "if=floppy,format=raw,file="+file, "-boot", "a", "-net", "none", "-display", "none", "-serial", "stdio",
				"-device", "isa-debug-exit,iobase=0xf4")
			out, _ := cmd.Output() // the debug device makes the exit status
			require.Equal(t, "read from the floppy\n", string(out))
			after, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, image[512:1024], after[floppySize-512:])
		})
	}
}

// TestFloppyLinux lets Linux's driver read a whole disk and write to it.
func TestFloppyLinux(t *testing.T) {
	f := prepare(t, "amd64") // the cloud's kernel has no driver
	bb, err := guest.GetBusybox()
	require.NoError(t, err)
	require.NoError(t, guest.WriteInitramfs(f.initrd, guest.Spec{Busybox: bb, Kernel: f.kernel, Modules: append([]string{"floppy"}, guest.DefaultModules...)}))
	image := bytes.Repeat([]byte("sectors of the floppy disk. "), floppySize/28+1)[:floppySize]
	file := filepath.Join(t.TempDir(), "floppy.img")
	require.NoError(t, os.WriteFile(file, image, 0o600))
	out := f.boot(t, "sha256sum /dev/fd0 && echo from the guest > /tmp/w && dd if=/tmp/w of=/dev/fd0 bs=512 seek=2000 conv=sync && sync", 3*time.Minute,
		"-net", "none", "-drive", "if=floppy,format=raw,file="+file)
	require.Contains(t, out, fmt.Sprintf("%x  /dev/fd0", sha256.Sum256(image)))
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "from the guest\n", string(after[2000*512:][:15]))
}
