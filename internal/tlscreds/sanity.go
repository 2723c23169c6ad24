package tlscreds

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
	"time"
)

// sanityCheck finds mistakes in our own certificates before a connection fails because of them.
func (f *files) sanityCheck(e Endpoint, roots []*x509.Certificate, caFile, certFile string) error {
	server := e == Server
	var own *x509.Certificate
	if certFile != "" {
		list, err := readCerts(certFile)
		if err != nil || len(list) == 0 {
			return errorf("Unable to import %s certificate %s: %v", e, certFile, orEmpty(err))
		}
		own = list[0]
		if err := checkCert(own, certFile, server, false); err != nil {
			return err
		}
	}
	for _, r := range roots {
		if err := checkCert(r, caFile, server, true); err != nil {
			return err
		}
	}
	if own == nil {
		return nil
	}
	usage := x509.ExtKeyUsageClientAuth
	if server {
		usage = x509.ExtKeyUsageServerAuth
	}
	if err := f.verify([]*x509.Certificate{own}, usage); err != nil {
		return errorf("Our own certificate %s failed validation against %s: %v", certFile, caFile, err)
	}
	return nil
}

func orEmpty(err error) string {
	if err == nil {
		return "No certificate was found."
	}
	return err.Error()
}

// checkCert checks the dates and the uses of a certificate.
func checkCert(x *x509.Certificate, file string, server, ca bool) error {
	what := "The client certificate"
	switch {
	case ca:
		what = "The CA certificate"
	case server:
		what = "The server certificate"
	}
	now := time.Now()
	switch {
	case now.After(x.NotAfter):
		return errorf("%s %s has expired", what, file)
	case now.Before(x.NotBefore):
		return errorf("%s %s is not yet active", what, file)
	}
	if err := checkConstraints(x, file, server, ca); err != nil {
		return err
	}
	if err := checkUsage(x, file, ca); err != nil {
		return err
	}
	if ca {
		return nil
	}
	return checkPurpose(x, file, server)
}

func checkConstraints(x *x509.Certificate, file string, server, ca bool) error {
	switch {
	case x.BasicConstraintsValid && x.IsCA && !ca && server:
		return errorf("The certificate %s basic constraints show a CA, but we need one for a server", file)
	case x.BasicConstraintsValid && x.IsCA && !ca:
		return errorf("The certificate %s basic constraints show a CA, but we need one for a client", file)
	case x.BasicConstraintsValid && !x.IsCA && ca:
		return errorf("The certificate %s basic constraints do not show a CA", file)
	case !x.BasicConstraintsValid && ca:
		return errorf("The certificate %s is missing basic constraints for a CA", file)
	}
	return nil
}

// extKeyUsage is the extension that says what the key is for.
var extKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 15}

// critical tells whether an extension must be understood.
func critical(x *x509.Certificate, id asn1.ObjectIdentifier) bool {
	for _, e := range x.Extensions {
		if e.Id.Equal(id) {
			return e.Critical
		}
	}
	return false
}

func checkUsage(x *x509.Certificate, file string, ca bool) error {
	if x.KeyUsage == 0 || !critical(x, extKeyUsage) {
		return nil
	}
	switch {
	case ca && x.KeyUsage&x509.KeyUsageCertSign == 0:
		return errorf("Certificate %s usage does not permit certificate signing", file)
	case !ca && x.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errorf("Certificate %s usage does not permit digital signature", file)
	}
	return nil
}

// extKeyPurpose is the extension that says which protocols the key is for.
var extKeyPurpose = asn1.ObjectIdentifier{2, 5, 29, 37}

func checkPurpose(x *x509.Certificate, file string, server bool) error {
	if len(x.ExtKeyUsage) == 0 || !critical(x, extKeyPurpose) {
		return nil
	}
	want, side := x509.ExtKeyUsageClientAuth, "client"
	if server {
		want, side = x509.ExtKeyUsageServerAuth, "server"
	}
	for _, u := range x.ExtKeyUsage {
		if u == want || u == x509.ExtKeyUsageAny {
			return nil
		}
	}
	return errorf("Certificate %s purpose does not allow use with a TLS %s", file, side)
}

// attributes are the short names of the parts of a distinguished name.
var attributes = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "sn", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "street",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
	"1.2.840.113549.1.9.1": "EMAIL",
}

// DistinguishedName is the name of a certificate's owner in the form of RFC 4514 as GnuTLS writes it: the last part first.
func DistinguishedName(x *x509.Certificate) string {
	var seq []asn1.RawValue
	if _, err := asn1.Unmarshal(x.RawSubject, &seq); err != nil {
		return x.Subject.String()
	}
	var parts []string
	names := x.Subject.Names
	for i := len(names) - 1; i >= 0; i-- {
		label := names[i].Type.String()
		if s, ok := attributes[label]; ok {
			label = s
		}
		parts = append(parts, label+"="+escapeDN(fmt.Sprint(names[i].Value)))
	}
	return strings.Join(parts, ",")
}

func escapeDN(s string) string {
	var b strings.Builder
	for i, r := range s {
		edge := i == 0 && (r == ' ' || r == '#') || i == len(s)-1 && r == ' '
		if edge || strings.ContainsRune(`,+"\<>;`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
