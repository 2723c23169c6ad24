// Package nbd lets goemu's NBD server and client talk to the programs of others: libnbd's tools and Python module, nbdkit and QEMU's tools.
package nbd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

//go:embed client.py
var clientScript string

// python is the interpreter whose modules Debian installs.
const python = "/usr/bin/python3"

func TestMain(m *testing.M) { testprog.Main(m) }

// bench has goemu and a folder for images and sockets.
type bench struct {
	*testing.T
	goemu, dir string
}

func newBench(t *testing.T) *bench {
	return &bench{T: t, goemu: testprog.Goemu(t), dir: t.TempDir()}
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// run runs a program and returns what it printed, with goemu's name changed to QEMU's.
func (b *bench) run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = b.dir
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	return strings.ReplaceAll(string(out), "goemu img", "qemu-img"), err
}

func (b *bench) must(name string, args ...string) string {
	b.Helper()
	out, err := b.run(name, args...)
	require.NoError(b, err, "%s %s: %s", name, strings.Join(args, " "), out)
	return out
}

// serve starts a server on the socket of that name and ends it with the returned function.
func (b *bench) serve(sock, name string, args ...string) (stop func()) {
	b.Helper()
	os.Remove(b.path(sock))
	cmd := exec.Command(name, args...)
	cmd.Dir = b.dir
	log, err := os.Create(b.path("server.log"))
	require.NoError(b, err)
	cmd.Stderr = log
	require.NoError(b, cmd.Start())
	stop = func() { cmd.Process.Signal(os.Interrupt); cmd.Wait(); log.Close() }
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("unix", b.path(sock)); err == nil {
			c.Close()
			return stop
		}
		if time.Now().After(deadline) {
			stop()
			text, _ := os.ReadFile(log.Name())
			require.Fail(b, "no server", "%s %v: %s", name, args, text)
		}
	}
}

// images makes a backing file with data and zeroes, an overlay with data and two bitmaps, and the same disk in raw.
func (b *bench) images() {
	b.must("qemu-img", "create", "-q", "-f", "qcow2", "base.qcow2", "32M")
	b.must("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 3M", "-c", "write -z 5M 1M", "base.qcow2")
	b.must("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "top.qcow2", "40M")
	b.must("qemu-img", "bitmap", "--add", "-g", "128k", "top.qcow2", "b0")
	b.must("qemu-img", "bitmap", "--add", "top.qcow2", "b1")
	b.must("qemu-io", "-c", "write -P 2 1M 1M", "-c", "write 20M 300k", "-c", "discard 0 64k", "top.qcow2")
	for _, bitmap := range []string{"b0", "b1"} {
		b.must("qemu-img", "bitmap", "--disable", "top.qcow2", bitmap)
	}
	b.must("qemu-img", "convert", "-O", "raw", "top.qcow2", "disk.raw")
}

// TestServer lets libnbd's programs talk to goemu's server and to QEMU's, and compares what they see.
func TestServer(t *testing.T) {
	testprog.Need(t, "qemu-nbd", "nbdinfo", "nbdcopy", python)
	b := newBench(t)
	if _, err := b.run(python, "-c", "import nbd"); err != nil {
		t.Skip("ORACLE MISSING: python3-libnbd is not installed")
	}
	b.images()
	uri := "nbd+unix:///exp?socket=" + b.path("sock")
	for _, c := range []struct {
		name   string
		extent string // "map" if what is a hole does not depend on when the host writes its cache back
		args   []string
	}{
		{"read-only", "map", []string{"-f", "qcow2", "-A", "-B", "b0", "-B", "b1", "-r", "top.qcow2"}},
		{"writable", "", []string{"-f", "raw", "copy.raw"}},
		{"writable qcow2", "map", []string{"-f", "qcow2", "--discard=unmap", "--detect-zeroes=unmap", "copy.qcow2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var seen [2]string
			for i, server := range [][]string{{"qemu-nbd"}, {b.goemu, "nbd"}} {
				b.must("qemu-img", "convert", "-O", "raw", "disk.raw", "copy.raw")
				b.must("qemu-img", "convert", "-O", "qcow2", "disk.raw", "copy.qcow2")
				stop := b.serve("sock", server[0], append(append(server[1:], "-k", b.path("sock"), "-x", "exp", "-D", "words", "-t", "-e", "5"), c.args...)...)
				seen[i] = b.must(python, "-c", clientScript, uri, c.extent) + b.must("nbdinfo", "--list", "--json", uri)
				if c.extent != "" {
					seen[i] += b.must("nbdinfo", "--map", "--totals", uri)
				}
				b.must("nbdcopy", uri, "out.raw")
				stop()
				seen[i] += b.must("sha256sum", "out.raw")
			}
			require.Equal(t, seen[0], seen[1])
		})
	}
}

// TestNbdkit lets goemu img use nbdkit's servers. QEMU's tool must print the same about each.
func TestNbdkit(t *testing.T) {
	testprog.Need(t, "qemu-img", "nbdkit")
	b := newBench(t)
	b.images()
	uri := "nbd+unix:///?socket=" + b.path("sock")
	for _, c := range []struct {
		args  string
		write bool // the disk is copied there first
	}{
		{"memory 40M", true},
		{"--filter=nozero memory 40M", true},
		{"--filter=nozero memory 40M zeromode=notrim", true},
		{"--filter=fua memory 40M fuamode=emulate", true},
		{"--filter=delay memory 40M rdelay=5ms wdelay=5ms", true},
		{"--filter=multi-conn memory 40M multi-conn-mode=disable", true},
		{"--filter=blocksize-policy memory 40M blocksize-minimum=512 blocksize-preferred=4096 blocksize-maximum=64k blocksize-error-policy=error", true},
		{"--filter=blocksize-policy memory 40M blocksize-minimum=4096 blocksize-preferred=64k blocksize-maximum=1M blocksize-error-policy=error", true},
		{"--filter=retry --filter=error file disk.raw error=EIO error-pread-rate=10% retry-delay=1 retries=30", false},
		{"--filter=error file disk.raw error=EIO error-pread-rate=100%", false},
		{"--filter=error memory 40M error=ENOSPC error-pwrite-rate=100%", true},
		{"--filter=noextents file disk.raw", false},
		{"--filter=nocache -r file disk.raw", false},
		{"--filter=truncate file disk.raw truncate=41000001", false},
		{"--no-sr file disk.raw", false},
		{"-o file disk.raw", false},
		{"--mask-handshake=0 file disk.raw", false},
	} {
		t.Run(c.args, func(t *testing.T) {
			stop := b.serve("sock", "nbdkit", append([]string{"-f", "-U", b.path("sock")}, strings.Fields(c.args)...)...)
			defer stop()
			both := func(args ...string) {
				want, wantErr := b.run("qemu-img", args...)
				got, err := b.run(b.goemu, append([]string{"img"}, args...)...)
				require.Equal(t, want, got, args)
				require.Equal(t, wantErr == nil, err == nil, args)
			}
			if c.write {
				both("convert", "-n", "-f", "raw", "-O", "raw", "disk.raw", uri)
			}
			both("info", "-f", "raw", uri)
			both("map", "-f", "raw", "--output=json", uri)
			both("compare", "-f", "raw", "-F", "raw", "disk.raw", uri)
		})
	}
}

// TestTLS connects goemu's tools with those of others over secure connections.
func TestTLS(t *testing.T) {
	testprog.Need(t, "qemu-img", "nbdkit", "nbdcopy")
	b := newBench(t)
	b.images()
	b.certificates("tls")
	require.NoError(t, os.Mkdir(b.path("anon"), 0o755))
	b.must("cp", "tls/ca-cert.pem", "anon")
	compare := func(tool []string, dir string) error {
		_, err := b.run(tool[0], append(tool[1:], "compare", "--object", "tls-creds-x509,id=t,endpoint=client,dir="+b.path(dir), "--image-opts",
			"driver=nbd,path=sock,tls-creds=t,tls-hostname=localhost", "driver=raw,file.filename=disk.raw")...)
		return err
	}
	img, qemu := []string{b.goemu, "img"}, []string{"qemu-img"}
	for _, verify := range []bool{true, false} {
		stop := b.serve("sock", b.goemu, "nbd", "--object", "tls-creds-x509,id=t,endpoint=server,dir="+b.path("tls")+map[bool]string{true: ",verify-peer=on", false: ",verify-peer=off"}[verify],
			"--tls-creds", "t", "-k", b.path("sock"), "-f", "raw", "-t", "-e", "5", "disk.raw")
		uri := "nbds+unix://localhost/?socket=" + b.path("sock") + "&tls-certificates="
		b.must("nbdcopy", uri+b.path("tls"), "out.raw")
		b.must("cmp", "out.raw", "disk.raw")
		require.NoError(t, compare(qemu, "tls"))
		require.NoError(t, compare(img, "tls"))
		_, err := b.run("nbdcopy", uri+b.path("anon"), "out.raw")
		require.Equal(t, verify, err != nil, "a client without certificate: %v", err)
		_, err = b.run("nbdinfo", "nbd+unix:///?socket="+b.path("sock"))
		require.Error(t, err, "a client without TLS")
		stop()
		args := []string{"-f", "-U", b.path("sock"), "--tls=require", "--tls-certificates=" + b.path("tls"), "file", "disk.raw"}
		if verify {
			args = append([]string{"--tls-verify-peer"}, args...)
		}
		stop = b.serve("sock", "nbdkit", args...)
		require.NoError(t, compare(img, "tls"))
		require.Equal(t, verify, compare(img, "anon") != nil)
		stop()
	}
}

// certificates makes a directory with an authority, a server at localhost and a client.
func (b *bench) certificates(dir string) {
	b.Helper()
	require.NoError(b, os.Mkdir(b.path(dir), 0o755))
	write := func(name, kind string, der []byte) {
		require.NoError(b, os.WriteFile(filepath.Join(b.path(dir), name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	var ca *x509.Certificate
	var caKey *ecdsa.PrivateKey
	for i, name := range []string{"ca", "server", "client"} {
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(b, err)
		if ca == nil {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
			ca, caKey = c, key
		} else {
			c.KeyUsage, c.DNSNames = x509.KeyUsageDigitalSignature, []string{"localhost"}
			c.ExtKeyUsage = []x509.ExtKeyUsage{[]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}[i-1]}
		}
		der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), caKey)
		require.NoError(b, err)
		write(name+"-cert.pem", "CERTIFICATE", der)
		der, err = x509.MarshalPKCS8PrivateKey(key)
		require.NoError(b, err)
		write(name+"-key.pem", "PRIVATE KEY", der)
	}
}
