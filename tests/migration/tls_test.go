package migration

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
	"goemu/internal/tlscreds/credstest"
)

// TestTLS: a machine goes over a connection with TLS to goemu and to QEMU and back; a destination refuses a source that comes without
// TLS, or with a certificate whose name it does not take, and waits for the next one.
func TestTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("processes take seconds each")
	}
	ca := credstest.New(t, "CA", nil)
	client, server := ca.Dir(t, "client", nil), ca.Dir(t, "server", nil)
	kernel, socket := assemble(t, ".l: hlt\njmp .l\n"), filepath.Join(t.TempDir(), "mig")
	start := func(bin string, more ...string) *process {
		p := launch(t, bin, append([]string{"-M", "pc-i440fx-7.2", "-accel", "tcg", "-m", "16", "-nodefaults", "-display", "none", "-kernel", kernel,
			"-object", "tls-creds-x509,id=c,dir=" + client + ",endpoint=client", "-object", "tls-creds-x509,id=s,dir=" + server + ",endpoint=server",
			"-object", "authz-simple,id=other,identity=CN=other"}, more...)...)
		p.on("events", "return-path") // without it a source may have sent all before the destination refuses it
		return p
	}
	await := func(bin, authz string) *process {
		d := start(bin, "-incoming", "defer")
		set := map[string]any{"tls-creds": "s"}
		if authz != "" {
			set["tls-authz"] = authz
		}
		d.must("migrate-set-parameters", set)
		d.must("migrate-incoming", map[string]any{"uri": "unix:" + socket})
		return d
	}
	send := func(p *process, hostname, want string) {
		t.Helper()
		p.must("migrate-set-parameters", map[string]any{"tls-creds": "c", "tls-hostname": hostname})
		p.must("migrate", map[string]any{"uri": "unix:" + socket})
		i := p.until("completed", "failed")
		if want == "" {
			require.Equal(t, "completed", i["status"], i["error-desc"])
		} else {
			require.Contains(t, i["error-desc"], want)
			p.becomes("running")
		}
	}
	src := start("")
	for name, want := range map[string]string{"": "No hostname for certificate validation", "other.example": "Certificate does not match the hostname other.example"} {
		d := await("", "")
		send(src, name, want)
		require.Equal(t, 1, d.wait(), "a source that went away during the migration")
		require.NoError(t, os.RemoveAll(socket))
	}
	dst := await("", "other")
	src.must("migrate-set-parameters", map[string]any{"tls-creds": "c", "tls-hostname": "host.example"})
	src.must("migrate", map[string]any{"uri": "unix:" + socket})
	src.until("failed")
	dst.prints("TLS x509 authz check for ")
	dst.must("migrate-set-parameters", map[string]any{"tls-authz": ""})
	src.must("migrate-set-parameters", map[string]any{"tls-creds": ""})
	src.must("migrate", map[string]any{"uri": "unix:" + socket})
	src.until("failed")
	src.becomes("running")
	src.must("migrate-set-parameters", map[string]any{"tls-creds": "none"})
	src.must("migrate", map[string]any{"uri": "unix:" + socket})
	require.Equal(t, "No TLS credentials with id 'none'", src.until("failed")["error-desc"])
	send(src, "host.example", "")
	dst.becomes("running")

	qemu := testprog.QEMU(t)
	src = dst
	for _, bin := range []string{qemu, ""} {
		require.NoError(t, os.RemoveAll(socket))
		dst = await(bin, "")
		send(src, "host.example", "")
		dst.becomes("running")
		src = dst
	}
}
