package app_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"
)

func inUTF16(t *testing.T, text string, order binary.AppendByteOrder) string {
	t.Helper()
	var wide []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		wide = order.AppendUint16(wide, unit)
	}
	return string(wide)
}

func (d tools) refusesUTF16(content string, args ...string) {
	d.t.Helper()
	got := d.pipe(content, args...)
	if got.fault == nil || !strings.Contains(got.fault.Error(), "UTF-16") || strings.Contains(got.err, "line 1") {
		d.t.Errorf("%.8q: %+v", content, got)
	}
}

func TestImportRefusesUTF16(t *testing.T) {
	onEach(t, func(t *testing.T, d tools) {
		const text = "user,customer\r\nann," + alicesCustomer + "\r\n"
		little, big := inUTF16(t, text, binary.LittleEndian), inUTF16(t, text, binary.BigEndian)
		for _, content := range []string{
			"\xff\xfe" + little, "\xfe\xff" + big, little, big, "\x00\x00\xfe\xff\x00\x00\x00u", "\xff\xfe\x00\x00u\x00\x00\x00",
		} {
			d.refusesUTF16(content, "import", "-")
			d.refusesUTF16(content, "import", "-dry-run", "-")
		}
		d.holds()
		if got := d.pipe("\ufeff"+text, "import", "-"); got.fault != nil { // UTF-8 as spreadsheets write it
			t.Errorf("with a byte order mark: %+v", got)
		}
		if got := d.pipe("é", "import", "-"); got.fault == nil || strings.Contains(got.fault.Error(), "UTF-16") {
			t.Errorf("a short file: %+v", got)
		}
		d.holds("ann," + alicesCustomer)
	})
}
