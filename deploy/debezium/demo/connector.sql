-- The connector's user: it may replicate, and read the published tables; the signal table's rows, between which an incremental
-- snapshot reads its chunks, it writes itself. psql takes the password from the environment, so that it stands in no file.
\getenv connector_password CONNECTOR_PASSWORD
select 'create user debezium with login replication'
 where not exists (select from pg_roles where rolname = 'debezium')
\gexec
alter user debezium with password :'connector_password';
grant select on products, prices, stock to debezium;
grant select, insert, delete on debezium_signal to debezium;
