-- The demo warehouse: products, prices and stock in three tables, two shops told apart by a column.
create table products (
  shop         text    not null,
  sku          text    not null,
  title        text    not null,
  description  text,
  brand        text,
  category     text,
  unit         text,
  ean          text,
  discontinued boolean not null default false,
  updated_at   timestamptz not null default now(),
  primary key (shop, sku)
);
create table prices (
  shop       text not null,
  sku        text not null,
  price_list text not null default 'retail',
  price      numeric(12, 2) not null,
  currency   char(3) not null default 'MXN',
  primary key (shop, sku, price_list)
);
create table stock (
  shop    text not null,
  sku     text not null,
  branch  text not null,
  on_hand numeric(12, 3) not null,
  primary key (shop, sku, branch)
);
-- Commands to the connector are rows of this table (docs/how-to/debezium.md).
create table debezium_signal (
  id   text primary key,
  type text not null,
  data text
);
-- Deletes then name their row in full, and large texts that an update left alone still arrive.
alter table products replica identity full;
alter table prices replica identity full;
alter table stock replica identity full;

-- The tables' owner says what is published; the connector, who owns nothing, could not.
create publication ferroflux for table products, prices, stock, debezium_signal;

insert into products (shop, sku, title, description, brand, category, unit, ean) values
  ('centro', 'BRO-001', 'Broca para concreto SDS Plus 1/4" x 6"', 'Broca con punta de carburo para rotomartillo', 'Taladrix', 'Brocas', 'pieza', '2000000900010'),
  ('centro', 'TOR-001', 'Tornillo autorroscante cabeza hexagonal #10 x 1"', 'Caja de 100 piezas', 'Tornimax', 'Tornillería', 'caja', '2000000900027'),
  ('centro', 'TUB-001', 'Tubo PVC hidráulico 1/2" x 3 m', null, 'Hidroplast', 'Tubería', 'tramo', '2000000900034'),
  ('centro', 'PIN-001', 'Pintura vinílica lavable blanca 19 L', 'Interior y exterior, rinde 120 m2', 'Cromasol', 'Pinturas', 'cubeta', '2000000900041'),
  ('centro', 'CAB-001', 'Cable THHN rojo #12 AWG', 'Se vende por metro', 'Conductix', 'Eléctrico', 'metro', '2000000900058'),
  ('norte', 'BRO-001', 'Broca HSS para metal 1/8"', null, 'Corvus', 'Brocas', 'pieza', '2000000900065'),
  ('norte', 'AMO-001', 'Amoladora angular 4.1/2" 850 W', 'Con disco de corte de regalo', 'Voltera', 'Herramienta eléctrica', 'pieza', '2000000900072'),
  ('norte', 'CAN-001', 'Candado de latón arco largo 50 mm', 'Dos llaves', 'Cerrosol', 'Cerrajería', 'pieza', '2000000900089');

insert into prices (shop, sku, price_list, price) values
  ('centro', 'BRO-001', 'retail', 54.50), ('centro', 'BRO-001', 'wholesale', 46.00),
  ('centro', 'TOR-001', 'retail', 78.00), ('centro', 'TUB-001', 'retail', 61.90), ('centro', 'PIN-001', 'retail', 1490.00),
  ('centro', 'CAB-001', 'retail', 14.20), ('norte', 'BRO-001', 'retail', 22.00), ('norte', 'AMO-001', 'retail', 1099.00),
  ('norte', 'CAN-001', 'retail', 139.00);

insert into stock (shop, sku, branch, on_hand) values
  ('centro', 'BRO-001', 'main', 40), ('centro', 'BRO-001', 'annex', 12), ('centro', 'TOR-001', 'main', 85),
  ('centro', 'TUB-001', 'main', 300), ('centro', 'PIN-001', 'main', 0), ('centro', 'CAB-001', 'main', 1250.5),
  ('norte', 'BRO-001', 'main', 64), ('norte', 'AMO-001', 'main', 7), ('norte', 'CAN-001', 'main', 25);
