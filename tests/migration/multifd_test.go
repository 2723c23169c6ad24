package migration

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
	"goemu/internal/tlscreds/credstest"
)

// TestMultifd: memory goes over several channels, compressed, with TLS or plain, to goemu, to QEMU and back, and is there what it was; a
// channel that there is one of only is refused, and nobody waits for a destination that goes away.
func TestMultifd(t *testing.T) {
	if testing.Short() {
		t.Skip("processes take seconds each")
	}
	qemu := testprog.QEMU(t)
	ca := credstest.New(t, "CA", nil)
	client, server := ca.Dir(t, "client", nil), ca.Dir(t, "server", nil)
	// The program fills 8 MiB with numbers, of which one kind of page changes all the time.
	kernel := assemble(t, "mov edi, 0x400000\nmov ecx, 0x200000\nmov eax, 1\n.f: stosd\nimul eax, eax, 0x19660d\nadd eax, 0x3c6ef35f\nloop .f\n.l: mov edi, 0x600000\n.p: inc dword [edi]\n"+
		"add edi, 8192\ncmp edi, 0x680000\njb .p\nmov byte [0x100000], 1\njmp .l\n")
	dir := t.TempDir()
	socket, dump := filepath.Join(dir, "mig"), filepath.Join(dir, "memory")
	start := func(bin, method string, more ...string) *process {
		p := launch(t, bin, append([]string{"-M", "pc-i440fx-7.2", "-accel", "tcg", "-m", "32", "-nodefaults", "-display", "none", "-kernel", kernel,
			"-object", "tls-creds-x509,id=c,dir=" + client + ",endpoint=client", "-object", "tls-creds-x509,id=s,dir=" + server + ",endpoint=server"}, more...)...)
		p.on("events", "return-path", "multifd")
		p.must("migrate-set-parameters", map[string]any{"multifd-channels": 3, "multifd-compression": method})
		return p
	}
	await := func(bin, method, creds string) *process {
		t.Helper()
		_ = os.Remove(socket)
		d := start(bin, method, "-incoming", "defer", "-S")
		d.must("migrate-set-parameters", map[string]any{"tls-creds": creds})
		d.must("migrate-incoming", map[string]any{"uri": "unix:" + socket})
		return d
	}
	// memory is what a machine that does not run has there.
	memory := func(p *process) string {
		t.Helper()
		p.must("pmemsave", map[string]any{"val": 0x400000, "size": 8 << 20, "filename": dump})
		b, err := os.ReadFile(dump)
		require.NoError(t, err)
		return string(b)
	}
	src := start("", "none")
	for _, c := range []struct{ bin, method, creds string }{{"", "zlib", "s"}, {qemu, "none", ""}, {"", "none", ""}, {qemu, "zlib", ""}, {"", "zstd", ""}} {
		dst := await(c.bin, c.method, c.creds)
		set := map[string]any{"multifd-compression": c.method, "tls-creds": "", "downtime-limit": 2000}
		if c.creds != "" {
			set["tls-creds"], set["tls-hostname"] = "c", "host.example"
		}
		src.must("migrate-set-parameters", set)
		src.must("migrate", map[string]any{"uri": "unix:" + socket})
		i := src.until("completed", "failed")
		require.Equal(t, "completed", i["status"], "%v to %v: %v %s", i["error-desc"], c, src.errs, dst.errs)
		require.NotZero(t, i["ram"].(map[string]any)["multifd-bytes"])
		dst.becomes("paused")
		require.Equal(t, memory(src), memory(dst), "%v", c)
		dst.must("cont", nil)
		src = dst
	}

	src.must("migrate", map[string]any{"uri": "exec:cat >/dev/null"})
	require.Equal(t, "multifd is not supported by current protocol", src.until("failed")["error-desc"])
	src.must("migrate-set-parameters", map[string]any{"max-bandwidth": 1 << 20})
	dst := await("", "zstd", "")
	src.must("migrate", map[string]any{"uri": "unix:" + socket})
	src.until("active")
	require.NoError(t, dst.cmd.Process.Kill())
	dst.wait()
	require.NotEmpty(t, src.until("failed")["error-desc"])
	require.Equal(t, "running", src.state())
	dst = await("", "zlib", "") // another method than the source's
	src.must("migrate", map[string]any{"uri": "unix:" + socket})
	src.until("failed")
	require.Equal(t, 1, dst.wait())
	require.Contains(t, dst.errs.String(), "multifd: flags received 4 flags expected 2")
	dst = await("", "zstd", "")
	src.must("migrate", map[string]any{"uri": "unix:" + socket})
	src.until("active")
	src.must("migrate_cancel", nil)
	src.until("cancelled")
	require.Equal(t, 1, dst.wait())
	src.becomes("running")
	dst = launch(t, "", "-M", "pc-i440fx-7.2", "-nodefaults", "-display", "none", "-incoming", "exec:cat")
	_, desc := dst.do("migrate-set-capabilities", map[string]any{"capabilities": []any{map[string]any{"capability": "multifd", "state": true}}})
	require.Equal(t, "multifd is not supported by current protocol", desc)
}
