package customerdb_test

import (
	"fmt"
	"strings"
	"testing"

	"dropgate/internal/customer/customerdb"
)

// Links succeed while a dry run is open.
func dryRunBlocksNoWriter(t *testing.T, open func() *customerdb.Database) {
	run, err := open().DryImport(t.Context())
	wantError(t, err, nil)
	done, err := run.Add(t.Context(), []customerdb.LinkRow{{UserID: "ann", CustomerID: customerA}})
	if err != nil || done.Linked != 1 {
		t.Fatalf("tried out: %+v (error %v)", done, err)
	}
	replica := open()
	link(t, replica, "bob", customerA)
	done, err = run.Add(t.Context(), []customerdb.LinkRow{
		{UserID: "bob", CustomerID: strings.ToUpper(customerA)},
		{UserID: "cid", CustomerID: customerA},
	})
	if err != nil || done.Linked != 0 || len(done.Conflicts) != 1 ||
		done.Conflicts[0] != (customerdb.ImportConflict{Row: 1, Err: customerdb.ErrCustomerLinked}) {
		t.Errorf("tried out: %+v (error %v)", done, err)
	}
	run.Close()
	wantCustomer(t, replica, "ann", "")
}

func concurrentImportsAgree(t *testing.T, open func() *customerdb.Database) {
	forward, backward := []customerdb.LinkRow{}, []customerdb.LinkRow{}
	for i := range 100 {
		link := customerdb.LinkRow{UserID: fmt.Sprint("user ", i), CustomerID: customerNumber(i)}
		forward, backward = append(forward, link), append([]customerdb.LinkRow{link}, backward...)
	}
	for i, err := range race(open, func(d *customerdb.Database, i int) error {
		run := d.Import()
		done, err := run.Add(t.Context(), [][]customerdb.LinkRow{forward, backward}[i%2])
		if len(done.Conflicts) > 0 {
			t.Errorf("import %d: %d conflicts", i, len(done.Conflicts))
		}
		run.Close()
		return err
	}) {
		if err != nil {
			t.Errorf("import %d: %v", i, err)
		}
	}
	if n := len(listAll(t, open(), 50)); n != len(forward) {
		t.Errorf("%d links, want %d", n, len(forward))
	}
}

func invalidRowsAreRefused(t *testing.T, open func() *customerdb.Database) {
	d := open()
	dry, err := d.DryImport(t.Context())
	wantError(t, err, nil)
	for _, link := range []customerdb.LinkRow{{UserID: "ann", CustomerID: "x"}, {UserID: "a\xff", CustomerID: customerA}} {
		if _, err := dry.Add(t.Context(), []customerdb.LinkRow{link}); err == nil {
			t.Errorf("%v was tried out", link)
		}
	}
	dry.Close()
	for _, link := range []customerdb.LinkRow{{UserID: "ann", CustomerID: "x"}, {UserID: "a\xff", CustomerID: customerA}} {
		if _, err := d.Import().Add(t.Context(), []customerdb.LinkRow{link}); err == nil {
			t.Errorf("%v was imported", link)
		}
	}
	if n := len(listAll(t, d, 10)); n != 0 {
		t.Errorf("%d links, want none", n)
	}
}
