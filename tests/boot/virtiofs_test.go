package boot

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/tests/guest"
)

// virtiofsd is the server of package qemu-system-common.
const virtiofsd = "/usr/lib/qemu/virtiofsd"

// startVirtiofsd serves a directory and returns the socket.
func startVirtiofsd(t *testing.T, dir string) string {
	t.Helper()
	if _, err := os.Stat(virtiofsd); err != nil || os.Geteuid() != 0 {
		t.Skip("ORACLE MISSING: virtiofsd of package qemu-system-common, which wants to be root")
	}
	socket := filepath.Join(t.TempDir(), "socket")
	var out bytes.Buffer
	cmd := exec.Command(virtiofsd, "--socket-path="+socket, "-o", "source="+dir+",sandbox=chroot")
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, 5*time.Second
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for {
		if _, err := os.Stat(socket); err == nil {
			return socket
		}
		select {
		case <-ended:
			t.Skipf("ORACLE MISSING: virtiofsd does not run here: %s", out.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestVirtioFS mounts a directory that virtiofsd serves.
func TestVirtioFS(t *testing.T) {
	f := prepare(t, "amd64")
	bb, err := guest.GetBusybox()
	require.NoError(t, err)
	require.NoError(t, guest.WriteInitramfs(f.initrd, guest.Spec{Busybox: bb, Kernel: f.kernel, Modules: append([]string{"virtiofs"}, guest.DefaultModules...)}))
	require.NoError(t, os.WriteFile(filepath.Join(f.share, "from-host"), []byte("hello\n"), 0o644))
	out := f.boot(t, "mkdir /a; mount -t virtiofs share /a; cat /a/from-host; dd if=/dev/vda of=/a/from-guest bs=64k; umount /a", 4*time.Minute,
		"-object", "memory-backend-memfd,id=mem,size=512M,share=on", "-machine", "q35,memory-backend=mem", "-chardev", "socket,id=fs,path="+startVirtiofsd(t, f.share),
		"-device", "vhost-user-fs-pci,chardev=fs,tag=share", "-drive", "file="+f.disk+",if=virtio,format=raw,snapshot=on")
	require.Contains(t, out, "\nhello\n")
	want, err := os.ReadFile(f.disk)
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join(f.share, "from-guest"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
}
