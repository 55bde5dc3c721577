// Package customerdb stores the service's own data about Customers in SQLite or
// PostgreSQL: links between users and Customers, statuses, correlation ids, the
// queue of webhook events, and the outbox of audit entries. Its constraints keep
// every link one to one. It never calls Dwolla, and never decides who may have a
// Customer.
package customerdb
